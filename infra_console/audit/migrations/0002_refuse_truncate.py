from django.db import migrations

REFUSE = """
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit_auditrow
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change();
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]

    operations = [
        migrations.RunSQL(
            sql=REFUSE, reverse_sql="DROP TRIGGER audit_no_truncate ON audit_auditrow;"
        ),
    ]

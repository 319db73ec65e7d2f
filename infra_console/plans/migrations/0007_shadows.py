"""Shadows of every plan that was not carried out, and whether they would have hurt."""

from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def mark_rehearsals(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    settlements = apps.get_model("plans", "Settlement")
    settlements.objects.filter(plan__state="rehearsed").update(
        shadow=True, harm_note="the plan names no sign by which to tell"
    )


class Migration(migrations.Migration):
    dependencies = [("plans", "0006_rollback")]

    operations = [
        migrations.AlterField("settlement", "at", models.DateTimeField(db_index=True)),
        migrations.AddField("settlement", "begins_at", models.DateTimeField(null=True)),
        migrations.AddField("settlement", "ends_at", models.DateTimeField(null=True)),
        migrations.AddField("settlement", "shadow", models.BooleanField(default=False)),
        migrations.AddField("settlement", "harms", models.JSONField(default=list)),
        migrations.AddField("settlement", "harmful", models.BooleanField(null=True)),
        migrations.AddField("settlement", "harm_note", models.TextField(blank=True, default=""), preserve_default=False),
        migrations.RunPython(mark_rehearsals, migrations.RunPython.noop),
    ]

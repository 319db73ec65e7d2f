import uuid

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("plans", "0004_approvals")]

    operations = [
        migrations.CreateModel(
            name="Console",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("identity", models.UUIDField(default=uuid.uuid4)),
            ],
        ),
        migrations.CreateModel(
            name="ForeignLease",
            fields=[
                ("cluster", models.CharField(max_length=63, primary_key=True, serialize=False)),
                ("holder", models.CharField(max_length=400)),
                ("renewed", models.CharField(max_length=40)),
                ("first_seen_at", models.DateTimeField()),
            ],
        ),
    ]

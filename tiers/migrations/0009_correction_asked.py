from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tiers", "0008_standing_policy")]

    operations = [
        migrations.AddField(
            model_name="demandcorrection",
            name="asked_at",
            field=models.DateTimeField(null=True),
        ),
    ]

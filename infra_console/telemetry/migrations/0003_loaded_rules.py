from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('telemetry', '0002_budgets'),
    ]

    operations = [
        migrations.AddField(
            model_name='sourcehealth',
            name='rules',
            field=models.TextField(blank=True, default=''),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='sourcehealth',
            name='rules_at',
            field=models.DateTimeField(null=True),
        ),
    ]

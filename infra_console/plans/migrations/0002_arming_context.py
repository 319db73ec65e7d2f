from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('plans', '0001_initial'),
    ]

    operations = [
        migrations.AddField(
            model_name='arming',
            name='context',
            # Nobody can tell which context an older arming meant: it no longer arms anything.
            field=models.CharField(default='', max_length=253),
            preserve_default=False,
        ),
    ]

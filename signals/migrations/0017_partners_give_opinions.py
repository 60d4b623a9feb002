"""What partners hold of signals and did about them, what analysts ruled, and the standing that the hub makes of it."""

import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("signals", "0016_cases_are_a_queue"),
    ]

    operations = [
        migrations.CreateModel(
            name="Opinion",
            fields=[
                ("number", models.BigAutoField(primary_key=True, serialize=False)),
                ("statement_id", models.UUIDField(unique=True)),
                ("signal_id", models.UUIDField()),
                ("partner_id", models.BigIntegerField()),
                ("key_id", models.BigIntegerField()),
                ("held", models.CharField(max_length=16)),
                ("reason", models.CharField(default="", max_length=32)),
                ("received_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="Outcome",
            fields=[
                ("number", models.BigAutoField(primary_key=True, serialize=False)),
                ("statement_id", models.UUIDField(unique=True)),
                ("signal_id", models.UUIDField()),
                ("partner_id", models.BigIntegerField()),
                ("key_id", models.BigIntegerField()),
                (
                    "did",
                    django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=20), size=None),
                ),
                ("review", models.CharField(max_length=10)),
                ("basis", models.CharField(default="", max_length=16)),
                ("policy", models.CharField(default="", max_length=64)),
                ("received_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="Retraction",
            fields=[
                ("statement_id", models.UUIDField(primary_key=True, serialize=False)),
                ("retracted_id", models.UUIDField(db_index=True)),
                ("signal_id", models.UUIDField()),
                ("key_id", models.BigIntegerField()),
                ("received_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="Ruling",
            fields=[
                ("number", models.BigAutoField(primary_key=True, serialize=False)),
                ("signal_id", models.UUIDField(db_index=True)),
                ("ruled", models.CharField(max_length=10)),
                ("reason", models.CharField(max_length=32)),
                ("actor", models.CharField(max_length=80)),
                ("at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="ToWeigh",
            fields=[
                ("number", models.BigAutoField(primary_key=True, serialize=False)),
                ("signal_id", models.UUIDField()),
            ],
        ),
        migrations.CreateModel(
            name="WeighPlace",
            fields=[
                ("programme_id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("position", models.BigIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name="Weight",
            fields=[
                ("signal_id", models.UUIDField(primary_key=True, serialize=False)),
                ("standing", models.CharField(max_length=12)),
                ("shown_standing", models.CharField(max_length=12)),
                ("is_restricted", models.BooleanField(default=False)),
                ("counts", models.JSONField(default=dict)),
                ("shown_counts", models.JSONField(default=dict)),
                ("at", models.DateTimeField()),
            ],
        ),
        migrations.RemoveConstraint(
            model_name="notice",
            name="a_notice_is_of_a_known_kind",
        ),
        migrations.AddField(
            model_name="change",
            name="weighed",
            field=models.TextField(db_default=""),
        ),
        migrations.AddField(
            model_name="signal",
            name="origin",
            field=models.CharField(db_default="", max_length=8),
        ),
        migrations.AddField(
            model_name="signal",
            name="weighed",
            field=models.TextField(db_default=""),
        ),
        migrations.AddConstraint(
            model_name="notice",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "kind__in",
                        [
                            "recall",
                            "verdict.late",
                            "signal.weighed",
                            "signal.disputed",
                            "key.proposed",
                            "key.activated",
                            "key.retired",
                            "key.revoked",
                            "endpoint.disabled",
                            "endpoint.paused",
                            "endpoint.resumed",
                            "endpoint.failing",
                            "endpoint.recovered",
                            "endpoint.verified",
                            "endpoint.secret-rotated",
                            "feed.reset",
                        ],
                    )
                ),
                name="a_notice_is_of_a_known_kind",
            ),
        ),
        migrations.AddIndex(
            model_name="opinion",
            index=models.Index(fields=["signal_id", "partner_id"], name="opinion_of_signal"),
        ),
        migrations.AddIndex(
            model_name="opinion",
            index=models.Index(fields=["partner_id", "-number"], name="opinion_by_partner"),
        ),
        migrations.AddConstraint(
            model_name="opinion",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("held__in", ["confirm-own", "confirm-derived", "false-positive", "outdated", "seen", "need-more"])
                ),
                name="an_opinion_is_a_known_one",
            ),
        ),
        migrations.AddIndex(
            model_name="outcome",
            index=models.Index(fields=["signal_id", "partner_id"], name="outcome_of_signal"),
        ),
        migrations.AddIndex(
            model_name="outcome",
            index=models.Index(fields=["partner_id", "-number"], name="outcome_by_partner"),
        ),
        migrations.AddConstraint(
            model_name="outcome",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "did__contained_by",
                        ["account-actioned", "content-removed", "url-blocked", "referred", "no-action", "not-found"],
                    )
                ),
                name="an_outcome_is_a_known_one",
            ),
        ),
        migrations.AddConstraint(
            model_name="ruling",
            constraint=models.CheckConstraint(
                condition=models.Q(("ruled__in", ["disputed", "refuted", "lifted"])), name="a_ruling_is_a_known_one"
            ),
        ),
        migrations.AddConstraint(
            model_name="weight",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("shown_standing__in", ["unreviewed", "corroborated", "disputed", "refuted"]),
                    ("standing__in", ["unreviewed", "corroborated", "disputed", "refuted"]),
                ),
                name="a_signal_has_a_known_standing",
            ),
        ),
    ]

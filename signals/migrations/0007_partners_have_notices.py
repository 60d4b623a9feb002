"""Every partner has a feed of notices; what was removed before there were any is not recalled anew."""

import uuid
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("signals", "0006_attempts_and_disclosures_lie_in_days"),
    ]

    operations = [
        migrations.CreateModel(
            name="Notice",
            fields=[
                ("number", models.BigAutoField(primary_key=True, serialize=False)),
                ("id", models.UUIDField(default=uuid.uuid4)),
                ("partner_id", models.BigIntegerField()),
                ("kind", models.CharField(max_length=32)),
                ("facts", models.JSONField(default=dict)),
                ("programme_id", models.BigIntegerField(null=True)),
                ("after", models.BigIntegerField(null=True)),
                ("up_to", models.BigIntegerField(null=True)),
                ("shown_to", models.BigIntegerField(null=True)),
                ("signal_count", models.IntegerField(default=0)),
                ("at", models.DateTimeField()),
                ("position", models.BigIntegerField(null=True)),
                ("posted_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="NoticeHead",
            fields=[
                ("partner_id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("position", models.BigIntegerField(default=0)),
                ("at", models.DateTimeField()),
                ("purged_to", models.BigIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name="RecallPlace",
            fields=[
                ("programme_id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("position", models.BigIntegerField(default=0)),
            ],
        ),
        migrations.AlterField(
            model_name="walk",
            name="programme_id",
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddIndex(
            model_name="change",
            index=models.Index(
                condition=models.Q(("kind__in", ("withdrawn", "expired", "quarantined", "restricted"))),
                fields=["programme_id", "position"],
                name="change_recalled",
            ),
        ),
        migrations.AddIndex(
            model_name="notice",
            index=models.Index(
                condition=models.Q(("position__isnull", True)), fields=["number"], name="notice_to_post"
            ),
        ),
        migrations.AddIndex(
            model_name="notice",
            index=models.Index(fields=["posted_at"], name="notice_to_forget"),
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
        migrations.AddConstraint(
            model_name="notice",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("after__isnull", False),
                        ("kind", "recall"),
                        ("programme_id__isnull", False),
                        ("signal_count__gte", 1),
                        ("up_to__gt", models.F("after")),
                    ),
                    models.Q(
                        models.Q(("kind", "recall"), _negated=True),
                        ("after__isnull", True),
                        ("programme_id__isnull", True),
                        ("up_to__isnull", True),
                        ("shown_to__isnull", True),
                        ("signal_count", 0),
                    ),
                    _connector="OR",
                ),
                name="a_recall_and_nothing_else_names_its_changes",
            ),
        ),
        migrations.AddConstraint(
            model_name="notice",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("position__isnull", True), ("posted_at__isnull", True)),
                    models.Q(("position__isnull", False), ("posted_at__isnull", False)),
                    _connector="OR",
                ),
                name="a_notice_with_a_place_says_since_when",
            ),
        ),
        migrations.AddConstraint(
            model_name="notice",
            constraint=models.UniqueConstraint(fields=("partner_id", "position"), name="a_place_holds_one_notice"),
        ),
        migrations.AddConstraint(
            model_name="noticehead",
            constraint=models.CheckConstraint(
                condition=models.Q(("purged_to__lte", models.F("position"))),
                name="a_notice_head_is_ahead_of_what_was_purged",
            ),
        ),
        migrations.RunSQL(
            "INSERT INTO signals_recallplace (programme_id, position) SELECT programme_id, position FROM signals_head",
            migrations.RunSQL.noop,
        ),
    ]

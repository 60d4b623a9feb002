"""The workers and their timetable. Celery only wakes the steps; the rows are the queue."""

import gc
import os
import warnings

from celery import Celery
from celery.exceptions import SecurityWarning
from celery.signals import setup_logging, task_postrun, task_prerun, worker_process_init
from django.conf import settings
from django.db import close_old_connections

from hub.watch import Watch

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")

warnings.filterwarnings("ignore", category=SecurityWarning)  # running as root is `manage.py doctor`'s to mention
app = Celery("heliograph")
app.conf.update(
    broker_url=settings.BROKER_URL,
    broker_connection_retry_on_startup=True,
    broker_transport_options={
        "visibility_timeout": 300,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        "health_check_interval": 30,
        "socket_connect_timeout": 1,
        "socket_timeout": 30,
        # A wake-up is best effort: without a broker it gives up at once, for the sweep finds the row.
        "max_retries": 1,
        "interval_start": 0,
        "interval_step": 0,
        "interval_max": 0,
    },
    task_ignore_result=True,
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    task_default_queue="default",
    task_routes={  # by name, for wake-ups are sent by name
        "signals.verify": {"queue": "verify"},
        "signals.publish": {"queue": "verify"},
        "signals.notices": {"queue": "verify"},
        "signals.deliver": {"queue": "deliver"},
    },
    task_publish_retry=False,
    timezone="UTC",
    beat_scheduler="hub.timetable:Timetable",
    beat_schedule={
        "sweep": {"task": "signals.sweep", "schedule": 3.0, "options": {"expires": 6}},
        "mail": {"task": "signals.mail", "schedule": 60.0, "options": {"expires": 60}},
        "activity": {"task": "signals.activity", "schedule": 60.0, "options": {"expires": 60}},
        "alarms": {"task": "signals.alarms", "schedule": 900.0, "options": {"expires": 900}},
        "purge": {"task": "signals.purge", "schedule": 600.0, "options": {"expires": 600}},
    },
)


def _keep_our_logging(**_: object) -> None:
    """Being connected is enough: Celery then leaves alone what `hub.apps` configured."""


setup_logging.connect(_keep_our_logging)

# Celery would close the pool of connections around every task, and two new sessions cost as much as all else that one
# signal needs. Given back after each task, a connection is looked at before it is used again, so a database that was
# restarted meanwhile is noticed.
app.conf["CELERY_DB_REUSE_MAX"] = 2**60


def _give_back_connections(**_: object) -> None:
    close_old_connections()


def _collect_rarely(**_: object) -> None:
    """A batch makes ten thousand objects and no cycles; looking for some every 700 cost a tenth of its time."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


worker_process_init.connect(_collect_rarely)
task_prerun.connect(_give_back_connections)
task_postrun.connect(_give_back_connections)

app.autodiscover_tasks(["signals"])
app.steps["worker"].add(Watch)

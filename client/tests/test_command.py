"""The command: a file in, a verdict for every line, an exit status a script can rely on."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_hub import HUB_ID, FakeHub

from heliograph_client import keys, statements
from heliograph_client.cli import main
from heliograph_client.cli.profile import ProfileProblem, read_profile

KEY = keys.new_key()


class Member:
    """Runs the command as one partner, in its own home."""

    def __init__(
        self, fake_hub: FakeHub, slug: str, home: Path, key: keys.SigningKey, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.home, self.capsys = home, capsys
        home.mkdir()
        keys.save(key, home / "signing-key.pem")
        self.environment = {
            "HELIOGRAPH_CLIENT_HOME": str(home),
            "HELIOGRAPH_URL": fake_hub.url,
            "HELIOGRAPH_API_KEY": fake_hub.enrol(slug, key).api_key,
            "HELIOGRAPH_PARTNER": slug,
            "HELIOGRAPH_HUB_ID": HUB_ID,
            "HELIOGRAPH_PROGRAMME": "csea",
        }

    def run(self, *words: object) -> tuple[int, str, str]:
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("HELIOGRAPH_")]:
                patch.delenv(name)
            for name, value in self.environment.items():
                patch.setenv(name, value)
            self.capsys.readouterr()
            try:
                status = main([str(word) for word in words])
            except SystemExit as exit_:
                status = int(exit_.code or 0)
            out, err = self.capsys.readouterr()
            return status, out, err

    def ask(self, *words: object) -> Any:
        status, out, err = self.run("--json", *words)
        assert out, (status, err)
        return json.loads(out.splitlines()[-1])


Join = Callable[[str], Member]


@pytest.fixture
def join(fake_hub: FakeHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Join:
    def make(slug: str) -> Member:
        key = KEY if slug == "acme" else keys.new_key()
        return Member(fake_hub, slug, tmp_path / slug, key, capsys)

    return make


TEXT = ("--type", "email", "--violation", "sextortion")


def a_file(tmp_path: Path, content: str, name: str = "values.txt") -> Path:
    path = tmp_path / name
    path.write_text(content)
    return path


def test_a_text_file_is_submitted_and_every_line_gets_its_verdict(
    join: Join, fake_hub: FakeHub, tmp_path: Path
) -> None:
    fake_hub.hold.add("held@example.org")
    path = a_file(tmp_path, "one@example.org\n\nheld@example.org\nbad\n")
    status, out, _ = join("acme").run("submit", path, *TEXT)
    assert status == 1
    assert out.splitlines() == [
        "accepted\t1\t\t\t",
        "held\t1\treview\t\tline 3",
        "refused\t1\tinvalid-indicator\tUnreadable. (/indicator)\tline 4",
    ]


def test_it_says_that_it_waits_while_the_hub_finds_it_too_much(join: Join, fake_hub: FakeHub, tmp_path: Path) -> None:
    acme, path = join("acme"), a_file(tmp_path, "one@example.org\n")
    fake_hub.faults, fake_hub.retry_after = [429], "1"
    status, out, err = acme.run("submit", path, *TEXT)
    assert (status, out, err) == (0, "accepted\t1\t\t\t\n", "waiting 2 s: made-up\n")
    fake_hub.faults = [429]
    status, _, err = acme.run("follow", "--once")
    assert (status, err) == (0, "waiting 2 s: made-up\n")


def test_running_it_again_doubles_nothing_and_says_refused_lines_afresh(
    join: Join, fake_hub: FakeHub, tmp_path: Path
) -> None:
    acme, path = join("acme"), a_file(tmp_path, "one@example.org\none@example.org\nbad\n")
    assert acme.ask("submit", path, *TEXT)["counts"] == {"accepted": 2, "refused": 1}
    asked = len(fake_hub.asked)
    assert acme.ask("submit", path, *TEXT)["counts"] == {"already": 2, "refused": 1}
    assert len(fake_hub.asked) == asked + 1
    assert len(fake_hub.signals) == 2
    assert Path(f"{path}.heliograph").stat().st_mode & 0o777 == 0o600
    assert b"example.org" not in Path(f"{path}.heliograph").read_bytes()


@pytest.mark.parametrize("lost", [0, 1, 17, 40])
def test_a_crash_before_the_answer_doubles_nothing(join: Join, fake_hub: FakeHub, tmp_path: Path, lost: int) -> None:
    acme, path = join("acme"), a_file(tmp_path, "one@example.org\ntwo@example.org\n")
    assert acme.ask("submit", path, *TEXT)["counts"] == {"accepted": 2}
    state = Path(f"{path}.heliograph")
    assigned = state.read_bytes().splitlines(keepends=True)[:2]  # as it was before the verdicts were written down
    state.write_bytes(b"".join(assigned) + b'{"row":"half a line, and then the power went'[:lost])
    assert acme.ask("submit", path, *TEXT)["counts"] == {"accepted": 2}
    assert len(fake_hub.signals) == 2
    assert acme.ask("submit", path, *TEXT)["counts"] == {"already": 2}


def test_csv_and_ndjson_say_more_about_each_row(join: Join, fake_hub: FakeHub, tmp_path: Path) -> None:
    acme = join("acme")
    table = a_file(
        tmp_path,
        "type,value,service,violation,confidence,permitted,observed_first,note\n"
        'username,"comma, inside",acme.example,grooming,90,investigate refer,2026-11-01T00:00:00Z,"two\nlines"\n'
        "url,https://example.org/x,,trading,many,,,\n"
        "url,https://example.org/y\n",
        "rows.csv",
    )
    result = acme.ask("submit", table)
    assert result["counts"] == {"accepted": 1, "refused": 2}
    assert {fate["line"]: fate["code"] for fate in result["fates"]} == {
        3: None,
        4: "unreadable-row",
        5: "unreadable-row",
    }
    (signal,) = fake_hub.signals.values()
    assert signal.payload["indicator"] == {"type": "username", "value": "comma, inside", "service": "acme.example"}
    assert signal.payload["observed"] == {"first": 1793491200, "last": 1793491200}
    assert (signal.payload["confidence"], signal.payload["note"]) == (90, "two\nlines")

    ready = statements.sign(signal.payload | {"jti": "elsewhere"}, KEY, statements.SIGNAL)
    wording = {name: value for name, value in signal.payload.items() if name not in {"jti", "iat"}}
    lines = a_file(tmp_path, "\n".join([ready, json.dumps(wording), "garbage", '{"a":1,"a":2}']), "rows.ndjson")
    assert acme.ask("submit", lines)["counts"] == {"accepted": 2, "refused": 2}
    assert "elsewhere" in {held.jti for held in fake_hub.signals.values()}


def test_a_sentence_that_is_not_true_of_all_lines_says_so(join: Join, tmp_path: Path) -> None:
    rows = "value,type,violation,expires\na@example.org,email,sextortion,yesterday\nb@example.org,email\n"
    status, out, _ = join("acme").run("submit", a_file(tmp_path, rows, "rows.csv"))
    assert (status, out.strip().split("\t")[1:3]) == (1, ["2", "unreadable-row"])
    assert "line 2: expires is a date and time" in out
    assert "others differ, see --json" in out


def test_a_dry_run_sends_nothing(join: Join, fake_hub: FakeHub, tmp_path: Path) -> None:
    path = a_file(tmp_path, "one@example.org\n")
    assert join("acme").ask("submit", "--dry-run", path, *TEXT)["counts"] == {"signed": 1}
    assert fake_hub.asked == []
    assert not Path(f"{path}.heliograph").exists()


def test_a_signal_travels_is_verified_and_is_withdrawn(join: Join, fake_hub: FakeHub, tmp_path: Path) -> None:
    acme, bolt, path = join("acme"), join("bolt"), a_file(tmp_path, "one@example.org\ntwo@example.org\n")
    first, second = (fate["signal"] for fate in acme.ask("submit", path, *TEXT)["fates"])
    status, out, err = bolt.run("follow", "--once")
    assert (status, out.count("verified"), out.count("UNVERIFIED")) == (0, 2, 0)
    assert keys.fingerprint(KEY.kid) in err
    assert len(bolt.ask("status", "--live")["live"]) == 2

    assert acme.run("withdraw", first)[0] == 0
    assert bolt.run("follow", "--once")[0] == 0
    assert [item["id"] for item in bolt.ask("status", "--live")["live"]] == [second]
    assert acme.run("withdraw", "--file", path, "--reason", "resolved")[0] == 0
    bolt.run("follow", "--once")
    assert bolt.ask("status", "--live")["live"] == []
    assert "no live signal of ours" in acme.run("withdraw", "nobody's")[2]


def test_a_receipt_is_signed_for_what_is_kept_in_a_file_or_named(join: Join, fake_hub: FakeHub, tmp_path: Path) -> None:
    acme, bolt = join("acme"), join("bolt")
    acme.ask("submit", a_file(tmp_path, "one@example.org\n"), *TEXT)
    (signal,) = fake_hub.signals.values()
    kept = tmp_path / "kept.jws"
    kept.write_text(signal.jws + "\n")
    status, out, _ = bolt.run("receipt", kept, "--scope", "systems", "--deleted-at", "2026-11-20T12:00+00:00")
    assert (status, out.split("\t")[0]) == (0, "receipt")
    name = statements.about(signal.jws)
    assert bolt.run("receipt", "--about", "/".join((name["iss"], name["jti"], name["digest"])))[0] == 0
    assert bolt.run("receipt", "--about", name["iss"])[0] != 0
    assert "needs a zone" in bolt.run("receipt", kept, "--deleted-at", "2026-11-20T12:00")[2]
    assert "nothing to sign for" in bolt.run("receipt")[2]


def test_opinions_and_outcomes_are_said_listed_and_taken_back(join: Join, fake_hub: FakeHub, tmp_path: Path) -> None:
    acme, bolt = join("acme"), join("bolt")
    acme.ask("submit", a_file(tmp_path, "one@example.org\n"), *TEXT)
    (signal,) = fake_hub.signals.values()
    kept = tmp_path / "kept.jws"
    kept.write_text(signal.jws + "\n")
    name, basis = statements.about(signal.jws), ("--basis", "own-finding", "--policy", "tos/4")
    for command in (
        ("opine", "confirm", "--observation", "own", "--file", kept),
        ("opine", "false-positive", "--reason", "benign-value", "--about", "/".join(name.values())),
        ("outcome", "--file", kept, "--did", "account-actioned", "referred", "--review", "human", *basis),
    ):
        status, out, _ = bolt.run(*command)
        assert (status, out.split("\t")[1]) == (0, "accepted")
    (_, confirm, _), (_, dispute, _), (_, outcome, _) = fake_hub.words
    assert (confirm["about"], confirm["opinion"], confirm["observation"]) == (name, "confirm", "own")
    assert (dispute["opinion"], dispute["reason"], "observation" in dispute) == (
        "false-positive",
        "benign-value",
        False,
    )
    assert (outcome["did"], outcome["review"]) == (["account-actioned", "referred"], "human")
    assert (outcome["basis"], outcome["policy"]) == ("own-finding", "tos/4")
    assert bolt.run("retract", confirm["jti"], outcome["jti"])[0] == 0
    assert [said["about"]["jti"] for typ, said, _ in fake_hub.words[3:]] == [confirm["jti"], outcome["jti"]]
    assert [said["about"]["digest"] for _, said, _ in fake_hub.words[3:]] == [
        fake_hub.words[0][2],
        fake_hub.words[2][2],
    ]
    assert "no opinion or outcome of ours" in bolt.run("retract", "never-said")[2]
    assert "nothing to sign for" in bolt.run("opine", "seen")[2]
    status, out, _ = bolt.run("standing", signal.id)
    assert (status, out.strip().split("\t")[1:4]) == (0, ["corroborated", "published", "confirm-own=2 seen=1"])
    assert [said["standing"] for said in bolt.ask("standing", signal.id)] == ["corroborated"]


def test_a_machine_reads_why_a_statement_was_refused(join: Join, fake_hub: FakeHub, tmp_path: Path) -> None:
    acme = join("acme")
    acme.ask("submit", a_file(tmp_path, "one@example.org\n"), *TEXT)
    (signal,) = fake_hub.signals.values()
    kept = tmp_path / "kept.jws"
    kept.write_text(signal.jws + "\n")
    (verdict,) = acme.ask("opine", "seen", "--file", kept)["verdicts"]
    assert (verdict["type"], verdict["verdict"], verdict["line"]) == ("opinion", "accepted", 1)
    assert {"code", "detail", "pointer"} <= set(verdict)


def test_narrowing_is_one_command_of_three_statements(join: Join, fake_hub: FakeHub, tmp_path: Path) -> None:
    acme = join("acme")
    (fate,) = acme.ask("submit", a_file(tmp_path, "one@example.org\n"), *TEXT)["fates"]
    status, out, _ = acme.run("narrow", fate["signal"], "--only", "bolt")
    assert status == 0
    assert [line.split("\t")[0] for line in out.splitlines()] == ["withdrawal", "signal", "routing"]
    old, new = sorted(fake_hub.signals.values(), key=lambda signal: signal.revision, reverse=True)
    assert (old.state, new.state) == ("withdrawn", "published")
    assert new.payload["handling"]["audience"] == "routed"
    assert new.payload["jti"] != old.payload["jti"]


def test_a_forged_entry_is_flagged_and_not_listed(join: Join, fake_hub: FakeHub, tmp_path: Path) -> None:
    acme, bolt = join("acme"), join("bolt")
    acme.ask("submit", a_file(tmp_path, "one@example.org\n"), *TEXT)
    (signal,) = fake_hub.signals.values()
    signal.payload = {**signal.payload, "confidence": 100}
    assert "UNVERIFIED: copy-differs" in bolt.run("follow", "--once")[1]
    assert bolt.ask("status", "--live")["live"] == []
    status, out, _ = bolt.run("verify")
    assert (status, out) == (1, f"{signal.id}\tcopy-differs\n")


def test_statements_in_a_file_are_verified_against_the_pins(join: Join, tmp_path: Path) -> None:
    acme, bolt = join("acme"), join("bolt")
    payload = {"iss": "acme", "jti": "one"}
    good, bad = (statements.sign(payload, key, statements.SIGNAL) for key in (KEY, keys.new_key()))
    path = a_file(tmp_path, f"{good}\n{bad}\nx\n", "said.jws")
    status, out, _ = bolt.run("verify", path)
    assert status == 1
    assert out.splitlines() == ["line 1: verified, said by acme", "line 2: key-not-pinned", "line 3: malformed-jws"]
    assert acme.run("verify", a_file(tmp_path, good, "good.jws"))[0] == 0


def test_a_key_whose_id_begins_with_a_dash_is_named_like_any_other(
    fake_hub: FakeHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = next(key for key in iter(keys.new_key, None) if key.kid.startswith("-"))  # one in 64
    acme = Member(fake_hub, "acme", tmp_path / "acme", key, capsys)
    assert acme.ask("keys", "retire", key.kid)["state"] == "retired"
    assert acme.run("keys", "revoke", key.kid, "--compromised-at", "2026-11-03T12:00:00+00:00")[0] == 0
    assert "needs a zone" in acme.run("keys", "revoke", key.kid, "--compromised-at", "2026-11-03T12:00:00")[2]
    assert acme.run("trust", "drop", "bolt", key.kid)[0] == 1  # it was not pinned
    assert acme.run("keys", "retire", "--", key.kid)[0] == 0


def test_keys_are_made_proposed_endorsed_and_pinned(join: Join, fake_hub: FakeHub, tmp_path: Path) -> None:
    acme, bolt = join("acme"), join("bolt")
    made = acme.ask("keys", "new", tmp_path / "next.pem")
    assert made["fingerprint"] == keys.fingerprint(made["jwk"])
    assert acme.ask("keys", "show", tmp_path / "next.pem")["kid"] == made["kid"]
    assert acme.run("keys", "new", tmp_path / "next.pem")[0] == 2
    assert acme.ask("keys", "propose", tmp_path / "next.pem")["state"] == "proposed"
    assert acme.ask("keys", "endorse", tmp_path / "next.pem")["state"] == "active"
    assert {key["state"] for key in acme.ask("keys", "list")} == {"active"}
    assert acme.ask("keys", "retire", KEY.kid)["state"] == "retired"
    bolt.environment["HELIOGRAPH_TRUST"] = "confirm"
    assert bolt.run("trust", "accept", "acme", "unknown")[0] == 1
    assert bolt.run("trust", "accept", "acme", made["kid"])[0] == 0
    assert made["kid"] in bolt.ask("trust", "list")["acme"]
    assert bolt.run("trust", "drop", "acme", made["kid"])[0] == 0


def test_check_says_what_is_missing_and_what_to_do(join: Join, fake_hub: FakeHub) -> None:
    acme = join("acme")
    assert acme.run("check")[0] == 0
    del acme.environment["HELIOGRAPH_HUB_ID"]
    (acme.home / "signing-key.pem").unlink()
    fake_hub.partners["acme"].membership = "suspended"
    status, out, _ = acme.run("check")
    wrong = {line.split("\t")[1] for line in out.splitlines() if line.startswith("NO")}
    assert (status, wrong) == (1, {"hub_id", "signing key", "programme csea"})


def test_an_endpoint_is_added_listed_and_removed(join: Join, fake_hub: FakeHub) -> None:
    acme = join("acme")
    status, out, err = acme.run("endpoints", "add", "https://hooks.example.org/heliograph")
    assert (status, out.splitlines()[-1].split()[-1][:6]) == (0, "whsec_")
    assert "this once" in err
    (endpoint,) = acme.ask("endpoints", "list")
    assert endpoint["url"] == "https://hooks.example.org/heliograph"
    assert acme.ask("endpoints", "rotate", endpoint["id"], "--old-valid-for", "60")["secret"].startswith("whsec_")
    assert acme.run("endpoints", "replay", endpoint["id"], "--since", "2026-11-20T12:00")[0] != 0  # without its zone
    acme.ask("endpoints", "replay", endpoint["id"], "--since", "2026-11-20T12:00+00:00")
    acme.ask("endpoints", "replay", endpoint["id"])
    acme.ask("endpoints", "test", endpoint["id"])
    asked = [{"secret": {"old_valid_for": 60}}, {"replay": {"from": "2026-11-20T12:00:00+00:00"}}]
    assert fake_hub.endpoints[0]["asked"] == [*asked, {"replay": {"from": "start"}}, {"test": {}}]
    assert "closed" in acme.run("endpoints", "show", endpoint["id"])[1]
    assert acme.run("endpoints", "remove", endpoint["id"])[0] == 0
    assert acme.ask("endpoints", "list") == []


def test_explain_says_how_the_hub_reads_a_value(join: Join) -> None:
    status, out, _ = join("acme").run("explain", "email", "A@Example.org")
    assert status == 0
    assert out.splitlines() == ["the hub reads it as  a@example.org", "             changed  lower case"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["submit", "nowhere.txt"], "cannot be read"),
        (["keys", "show", "nowhere.pem"], "cannot be read"),
        (["follow", "unknown-programme", "--once"], "not-found"),
        (["receive", "--listen", "here"], "address:port"),
        (["receive"], "webhook_secret is not set"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(join: Join, words: list[str], sentence: str) -> None:
    status, out, err = join("acme").run(*words)
    assert (status, out) == (2, "")
    assert sentence in err
    assert "Traceback" not in err


def test_a_setting_nobody_knows_is_refused_and_the_environment_wins(tmp_path: Path) -> None:
    (tmp_path / "profile.json").write_text('{"url":"https://a.example","partner":"acme"}')
    profile = read_profile({"HELIOGRAPH_CLIENT_HOME": str(tmp_path), "HELIOGRAPH_URL": "https://b.example"})
    assert (profile.need("url"), profile.need("partner")) == ("https://b.example", "acme")
    with pytest.raises(ProfileProblem, match="HELIOGRAPH_HUB_ID"):
        profile.need("hub_id")
    for content in ('{"ulr":"x"}', "[]", "{", '{"url":1}'):
        (tmp_path / "profile.json").write_text(content)
        with pytest.raises(ProfileProblem):
            read_profile({"HELIOGRAPH_CLIENT_HOME": str(tmp_path)})


@pytest.mark.skipif(sys.version_info < (3, 11), reason="TOML came with Python 3.11")
def test_a_profile_may_be_toml_and_keep_secrets_in_files(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("hg_dev_x\n")
    (tmp_path / "profile.toml").write_text(f'url = "https://a.example"\napi_key_file = "{tmp_path}/key"\n')
    profile = read_profile({"HELIOGRAPH_CLIENT_HOME": str(tmp_path)})
    assert "hg_dev_x" not in repr(profile.hub())


def test_a_value_may_come_by_standard_input(join: Join, monkeypatch: pytest.MonkeyPatch) -> None:
    acme = join("acme")
    monkeypatch.setattr(sys, "stdin", io.StringIO("one@example.org\n"))
    assert acme.ask("submit", "-", *TEXT)["counts"] == {"accepted": 1}


@pytest.mark.parametrize("words", [[], ["submit"], ["follow"], ["keys", "endorse"], ["narrow"], ["endpoints", "add"]])
def test_help_is_there_for_every_command(words: list[str], join: Join) -> None:
    status, out, _ = join("acme").run(*words, "--help")
    assert (status, out.startswith("usage: heliograph")) == (0, True)


def test_it_runs_as_a_module() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "heliograph_client.cli.main", "--help"], capture_output=True, text=True, check=True
    )
    assert "HELIOGRAPH_CLIENT_HOME" in ran.stdout


def test_notices_are_said_one_a_line_and_recalls_are_applied(join: Join, fake_hub: FakeHub) -> None:
    bolt = join("bolt")
    fake_hub.tell("key.proposed", kid="k")
    fake_hub.tell("recall", programme="csea", epoch=1, signals=[{"id": "a", "revision": 2, "state": "withdrawn"}])
    status, out, _ = bolt.run("notices", "--once")
    assert status == 0
    first, second = out.splitlines()
    assert "key.proposed  kid k" in first
    assert "recall  programme csea, epoch 1, 1 signals" in second
    assert bolt.run("notices", "--once")[1] == ""


def test_an_endpoint_may_be_for_notices(join: Join, fake_hub: FakeHub) -> None:
    bolt = join("bolt")
    assert bolt.ask("endpoints", "add", "https://hooks.bolt.example/", "--notices")["secret"]
    [made] = fake_hub.endpoints
    assert (made["feed"], made.get("programme")) == ("notices", None)
    assert "notices" in bolt.run("endpoints", "list")[1]

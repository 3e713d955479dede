from rich.console import Console

from mlp.local.home import Home
from mlp.local.observe import ServiceStatus
from mlp.local.quickstart import Summary
from mlp.local.report import as_data, how_to_log_in, summary_table, table


def running(service, port, **more):
    values = {"service": service, "condition": "running", "pid": 7, "port": port, "url": f"http://127.0.0.1:{port}"}
    return ServiceStatus(**{**values, **more})


def shown(rendered):
    console = Console(width=200)
    with console.capture() as capture:
        console.print(rendered)
    return capture.get()


def test_the_reason_is_shown_only_where_something_is_not_well():
    assert "why" not in shown(table([running("web", 2000)]))
    ill = running("web", 2000, condition="dead", pid=None, url=None, detail="it ended")
    assert "it ended" in shown(table([running("store", 2001), ill]))


def test_each_service_is_a_row_with_its_state_its_address_and_its_process():
    stopped = running("store", 2001, condition="stopped", pid=None, url=None)
    lines = shown(table([running("web", 2000), stopped])).splitlines()
    assert [line.split() for line in lines] == [
        ["service", "state", "url", "pid"],
        ["web", "running", "http://127.0.0.1:2000", "7"],
        ["store", "stopped"],
    ]


def test_programs_get_the_same_and_the_file_of_the_password_rather_than_the_password(tmp_path):
    data = as_data(Home(tmp_path), [running("web", 2000, condition="unhealthy", detail="it is slow")])
    assert data == {
        "home": str(tmp_path),
        "services": [
            {"service": "web", "state": "unhealthy", "pid": 7, "port": 2000, "url": "http://127.0.0.1:2000",
             "detail": "it is slow"}
        ],
        "login": {"username": "admin", "password_file": str(tmp_path / "credentials.json")},
        "ray_token_file": str(tmp_path / "ray_token"),
    }  # fmt: skip


def test_people_are_told_where_each_login_lies_and_what_to_type_next(tmp_path):
    assert how_to_log_in(Home(tmp_path)).splitlines() == [
        f"MLflow login: admin, password: mlflow_password in {tmp_path / 'credentials.json'}",
        f"Ray dashboard's token: in {tmp_path / 'ray_token'}",
        f"PostgreSQL login: mlflow, password: mlflow_database_password in {tmp_path / 'credentials.json'}",
        'In a shell: eval "$(mlp env)"   Stop: mlp down',
    ]


def test_the_last_table_has_all_that_the_main_job_came_to(tmp_path):
    summary = Summary(
        dataset="digits (fallback)", test_accuracy=0.98765, train_seconds=12.34, model_name="fashion-mnist-classifier",
        version=3, alias="production", predicted="4", probability=0.9876, label="4",
    )  # fmt: skip
    statuses = [running(name, 2000 + n) for n, name in enumerate(("postgres", "mlflow", "ray"))]
    text = shown(summary_table(summary, statuses, Home(tmp_path)))
    for expected in (
        "http://127.0.0.1:2000", "http://127.0.0.1:2001", "http://127.0.0.1:2002", "admin",
        str(tmp_path / "credentials.json"), str(tmp_path / "ray_token"), "mlflow_database_password",
        "digits (fallback)", "0.9877", "12.3 s", "fashion-mnist-classifier version 3, alias production",
        "4 (probability 0.988; true class 4)",
    ):  # fmt: skip
        assert expected in text

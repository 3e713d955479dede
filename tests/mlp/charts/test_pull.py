import io
import json
import tarfile

import pytest
import yaml

from infra.facts.charts import Chart
from mlp.charts import archives, pull, repositories
from mlp.charts.repositories import Repositories
from mlp.charts.store import ChartStore, find_store
from mlp.shared.errors import PlatformError
from tests.mlp.charts.builders import TINY, WIDGETS, Told, chart_files, index, packed, serving, sha256, stored


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("no_proxy", raising=False)
    with serving() as served:
        yield served


@pytest.fixture
def store(tmp_path):
    return ChartStore(tmp_path / "charts")


def at(server, chart=TINY, place=""):
    return Chart(name=chart.name, version=chart.version, repository=f"{server.address}{place}")


def fetch(chart, store):
    told = Told()
    pull.pull([chart], store, Repositories(), told)
    return told.lines


def refused(chart, store):
    before = sorted(store.folder.rglob("*"))
    with pytest.raises(PlatformError) as raised:
        fetch(chart, store)
    assert sorted(store.folder.rglob("*")) == before  # nothing kept, nothing half-written, nothing lost
    return str(raised.value)


def test_a_chart_is_kept_with_its_values_definitions_and_archive(server, store):
    archive = packed(chart_files(values__schema_json="{}"))
    server.hold((TINY, archive))
    assert fetch(at(server), store) == ["tiny 1.2.3: pulled"]
    data = store.chart("tiny")
    assert (data.name, data.version, data.values["replicas"]) == ("tiny", "1.2.3", 1)
    assert [one["metadata"]["name"] for one in store.definitions()] == ["widgets.example.com"]
    assert store.archive("tiny", "1.2.3").read_bytes() == archive
    assert store.archive("tiny", "1.2.4") is None


def test_sub_charts_and_schemas_are_kept_too(server, store):
    files = chart_files()
    files["Chart.yaml"] += "dependencies: [{name: sub, alias: theirs, condition: 'theirs.enabled, other.enabled'}]"
    files["values.schema.json"] = '{"type": "object"}'
    files["charts/sub/Chart.yaml"] = "{name: sub, version: '7'}"
    files["charts/sub/values.yaml"] = "size: 1"
    server.hold((TINY, packed(files)))
    fetch(at(server), store)
    data = store.chart("tiny")
    [dependency] = data.dependencies
    assert data.schema == {"type": "object"}
    assert (dependency.key, dependency.conditions) == ("theirs", (("theirs", "enabled"), ("other", "enabled")))
    assert data.subcharts["sub"].values == {"size": 1}


def test_definitions_within_templates_and_sub_charts_are_found(server, store):
    lines = yaml.safe_dump(WIDGETS).splitlines()
    served = next(number for number, line in enumerate(lines) if "served: false" in line)
    lines[served] = "    served: {{ .Values.old }}"
    templated = "\n".join(["{{- if .Values.installCRDs }}", *lines, "{{- end }}"])
    files = {key: text for key, text in chart_files().items() if not key.startswith("crds/")}
    server.hold((TINY, packed({**files, "charts/sub/templates/crds/widgets.yaml": templated})))
    fetch(at(server), store)
    [definition] = store.definitions()
    assert [(one["name"], one.get("served")) for one in definition["spec"]["versions"]] == [
        ("v1beta1", None),
        ("v1", True),
    ]


def test_a_chart_that_is_there_is_not_fetched_again(server, store):
    server.hold((TINY, packed(chart_files())))
    fetch(at(server), store)
    asked = len(server.asked)
    assert fetch(at(server), store) == ["tiny 1.2.3 is there"]
    assert len(server.asked) == asked


def test_another_version_takes_the_place_of_the_old(server, store):
    old = Chart(name="tiny", version="1.0.0", repository=TINY.repository)
    stored(store.folder, old)
    server.hold((TINY, packed(chart_files())))
    fetch(at(server), store)
    assert store.chart("tiny").version == "1.2.3"
    assert store.archive("tiny", "1.0.0") is None
    assert [path.name for path in store.folder.iterdir()] == ["tiny"]


def test_data_that_cannot_be_read_are_replaced(server, store):
    stored(store.folder)
    (store.folder / "tiny" / "values.yaml").write_text("a: [")
    with pytest.raises(PlatformError, match=r"values\.yaml cannot be read .*; remove its folder"):
        store.chart("tiny")
    server.hold((TINY, packed(chart_files())))
    fetch(at(server), store)
    assert store.chart("tiny").values["replicas"] == 1


def test_an_archive_that_is_not_what_the_index_says_is_refused(server, store):
    archive = packed(chart_files())
    server.hold((TINY, archive))
    server.files["/archives/tiny-1.2.3.tgz"] = packed(chart_files(values_yaml="evil: true"))
    message = refused(at(server), store)
    assert f"{server.address}/archives/tiny-1.2.3.tgz: its sha256 is " in message
    assert f"and the repository says {sha256(archive)}" in message


def test_what_was_there_stays_when_the_new_cannot_be_had(server, store):
    stored(store.folder, Chart(name="tiny", version="1.0.0", repository=TINY.repository))
    server.hold((TINY, b"not an archive"))
    assert "it is not a gzipped tar" in refused(at(server), store)
    assert store.chart("tiny").version == "1.0.0"


def test_without_a_network_name_address_and_next_step_are_told(server, store):
    with serving() as gone:
        pass
    chart = at(gone)
    message = refused(chart, store)
    assert message.startswith("1 chart could not be pulled, and nothing of them was kept:\n  tiny: ")
    assert f"{gone.address}/index.yaml: " in message
    assert "Connection refused" in message
    assert message.endswith("and run `mlp charts pull tiny`")


def test_a_repository_that_does_not_answer_is_asked_once_and_the_others_are_pulled(server, store):
    server.hold((TINY, packed(chart_files())))
    lost = [Chart(name=name, version="1", repository=f"{server.address}/lost") for name in ("one", "two")]
    with pytest.raises(PlatformError, match="2 charts could not be pulled"):
        pull.pull([*lost, at(server)], store, Repositories(), Told())
    assert server.asked.count("/lost/index.yaml") == 1
    assert store.names() == ["tiny"]


@pytest.mark.parametrize(
    ("served", "reason"),
    [
        (b"<html>", "it is not the index of a chart repository"),
        (b"a: [", "it is not the index of a chart repository"),
        (index((TINY, b""), version="9.9.9"), "it has no tiny 1.2.3; the first it has are: 9.9.9"),
        (b"entries: {}", "it has no tiny 1.2.3; the first it has are: none"),
        (index((TINY, b""), digest=None), "tiny 1.2.3 has no address or no digest there"),
        (index((TINY, b""), urls=["file:///etc/passwd"]), "only http and https addresses are fetched"),
    ],
    ids=["html", "broken", "other version", "empty", "no digest", "file"],
)
def test_an_index_that_does_not_lead_to_the_chart_is_told(server, store, served, reason):
    server.files["/index.yaml"] = served
    assert reason in refused(at(server), store)


def test_an_archive_of_another_chart_is_refused(server, store):
    other = Chart(name="tiny", version="6.6.6", repository="")
    server.hold((TINY, packed(chart_files(other))))
    assert "its Chart.yaml is of tiny 6.6.6, not of tiny 1.2.3" in refused(at(server), store)


def test_an_archive_cannot_write_elsewhere(server, store, tmp_path):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for path in ("tiny/Chart.yaml", "tiny/charts/../../../values.yaml", "../values.yaml", "/tmp/values.yaml"):
            content = chart_files()["Chart.yaml"].encode()
            member = tarfile.TarInfo(path)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("tiny/values.yaml")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    server.hold((TINY, buffer.getvalue()))
    fetch(at(server), store)
    kept = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
    assert kept == ["Chart.yaml", "tiny-1.2.3.tgz"]


def test_an_answer_or_an_archive_without_end_is_refused(server, store, monkeypatch):
    server.hold((TINY, packed(chart_files())))
    monkeypatch.setattr(archives, "MAX_UNPACKED_BYTES", 10)
    assert "it unpacks to more than 0 MiB" in refused(at(server), store)
    monkeypatch.setattr(repositories, "MAX_INDEX_BYTES", 10)
    assert "it is larger than 0 MiB" in refused(at(server), store)


def test_a_folder_that_may_not_be_written_is_told(server, tmp_path):
    server.hold((TINY, packed(chart_files())))
    (tmp_path / "charts").write_text("a file")
    with pytest.raises(PlatformError, match=r"tiny could not be written to .*; free or unlock the place"):
        fetch(at(server), ChartStore(tmp_path / "charts"))


class Registry:
    """An OCI registry that wants a login, as public ones do, and sends clients on for blobs."""

    def __init__(self, server, archive, *, media_type="application/vnd.cncf.helm.chart.content.v1.tar+gzip"):
        self.address = server.address
        self.archive = archive
        self.blob_logins = []
        manifest = {"layers": [{"mediaType": media_type, "digest": f"sha256:{sha256(archive)}"}]}
        server.files["/v2/team/tiny/manifests/1.2.3"] = self.with_login(json.dumps(manifest).encode())
        server.files["/token"] = json.dumps({"token": "let me in"}).encode()
        server.files[f"/v2/team/tiny/blobs/sha256:{sha256(archive)}"] = lambda request: (
            307,
            {"Location": f"{server.address}/store"},
            b"",
        )
        server.files["/store"] = self.blob

    def with_login(self, body):
        challenge = f'Bearer realm="{self.address}/token",service="registry",scope="repository:team/tiny:pull"'

        def answer(request):
            if request.headers.get("Authorization") != "Bearer let me in":
                return 401, {"WWW-Authenticate": challenge}, b""
            return 200, {}, body

        return answer

    def blob(self, request):
        self.blob_logins.append(request.headers.get("Authorization"))
        return 200, {}, self.archive


def in_registry(server, place):
    return Chart(name="tiny", version="1.2.3", repository=server.address.replace("http://", "oci://") + place)


@pytest.mark.parametrize("place", ["/team", "/team/tiny"])
def test_a_chart_of_an_oci_registry_is_pulled_with_an_anonymous_login_that_the_blob_store_does_not_see(
    server, store, place
):
    registry = Registry(server, packed(chart_files()))
    assert fetch(in_registry(server, place), store) == ["tiny 1.2.3: pulled"]
    assert registry.blob_logins == [None]
    assert "/token?service=registry&scope=repository%3Ateam%2Ftiny%3Apull" in server.asked


def test_a_blob_that_is_not_what_the_manifest_says_is_refused(server, store):
    registry = Registry(server, packed(chart_files()))
    registry.archive = b"other"
    assert "and the repository says" in refused(in_registry(server, "/team"), store)


def test_an_image_is_not_a_chart(server, store):
    Registry(server, b"layer", media_type="application/vnd.oci.image.layer.v1.tar+gzip")
    assert "/v2/team/tiny/manifests/1.2.3: it is not a chart" in refused(in_registry(server, "/team"), store)


def test_a_registry_that_refuses_is_told(server, store):
    assert "/v2/elsewhere/tiny/manifests/1.2.3: HTTP 404" in refused(in_registry(server, "/elsewhere"), store)


def test_a_registry_whose_login_gives_nothing_is_told(server, store):
    Registry(server, b"")
    server.files["/token"] = b"{}"
    assert "/token: it gave no token" in refused(in_registry(server, "/team"), store)


def test_the_pins_of_the_platform_are_each_of_one_name_and_one_version():
    pins = pull.pins()
    assert len({one.name for one in pins}) == len(pins)
    assert {"mlflow", "airflow", "kube-prometheus-stack"} <= {one.name for one in pins}
    assert all(one.repository.startswith(("https://", "oci://")) for one in pins)


def test_charts_are_chosen_by_name():
    other = Chart(name="other", version="1", repository="")
    assert pull.chosen([], [TINY, other]) == [TINY, other]
    assert pull.chosen(["other"], [TINY, other]) == [other]
    with pytest.raises(PlatformError, match=r"toni: no chart of that name is pinned .*; the charts are other, tiny"):
        pull.chosen(["toni"], [TINY, other])


def test_the_folder_is_the_one_that_the_environment_names_else_in_the_platforms_home(tmp_path):
    named = {"ML_PLATFORM_CHARTS": str(tmp_path / "named"), "MLP_HOME": str(tmp_path / "home")}
    assert find_store(named).folder == tmp_path / "named"
    assert find_store({"MLP_HOME": str(tmp_path / "home")}).folder == tmp_path / "home" / "charts"
    assert find_store(named).names() == []

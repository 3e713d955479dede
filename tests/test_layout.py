"""Who may import whom, and what a command may load before it has work to do."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mlp.cli import app
from tests.command_help import first_lines

REPOSITORY = Path(__file__).resolve().parents[1]
PARTS = ("infra", "mlp", "stacks", "workloads", "policies")
MAY_IMPORT = {
    "infra": {"infra"},
    "mlp": {"mlp", "infra", "policies.rules", "workloads.environment"},
    "stacks": {"infra", "workloads.environment"},
    "workloads": {"workloads"},
    "policies": {"policies"},
}


def imported_modules(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from workloads import environment` names a module by two words.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_allowed(module, part):
    return any(module == allowed or module.startswith(f"{allowed}.") for allowed in MAY_IMPORT[part])


@pytest.mark.parametrize("part", PARTS)
def test_each_part_imports_only_what_lies_below_it(part):
    strangers = [
        f"{path.relative_to(REPOSITORY)} imports {module}"
        for path in (REPOSITORY / part).rglob("*.py")
        for module in imported_modules(path)
        if module.split(".")[0] in PARTS and not is_allowed(module, part)
    ]
    assert strangers == []


BELOW = {
    "shared": set(),
    "engine": {"shared"},
    "plan": {"shared", "engine"},
    "charts": {"shared", "engine"},
    "review": {"shared", "engine", "plan", "charts"},
    "local": {"shared", "engine"},
    "account": {"shared"},
    "recovery": {"shared"},
    "commands": {"shared", "engine", "plan", "charts", "review", "local", "account", "recovery"},
}
"""The folders of `mlp`, and which others each may import from."""


def parts_imported(package, folder):
    """Names directly below `package` that the folder's modules import, at their top or within functions."""
    return {
        module.split(".")[1]
        for path in (REPOSITORY / package / folder).rglob("*.py")
        for module in imported_modules(path)
        if module.startswith(f"{package}.")
    } - {folder}


@pytest.mark.parametrize("folder", BELOW)
def test_each_folder_of_mlp_imports_only_from_those_below_it(folder):
    assert parts_imported("mlp", folder) <= BELOW[folder]


FOLDERS_OF_WORKLOADS = (
    "checkpoints",
    "data",
    "models",
    "tracking",
    "evaluation",
    "registry",
    "training",
    "tuning",
    "commands",
)
"""The folders of `workloads`: each may import from those before it, and from the modules beside them."""


def test_the_order_has_every_folder_of_workloads():
    found = {path.parent.name for path in (REPOSITORY / "workloads").glob("*/__init__.py")}
    assert found == set(FOLDERS_OF_WORKLOADS)


@pytest.mark.parametrize("folder", FOLDERS_OF_WORKLOADS)
def test_each_folder_of_workloads_imports_only_from_those_before_it(folder):
    above = FOLDERS_OF_WORKLOADS[FOLDERS_OF_WORKLOADS.index(folder) :]
    assert parts_imported("workloads", folder) & set(above) == set()


def test_facts_import_nothing_of_the_platform():
    facts = list((REPOSITORY / "infra" / "facts").glob("*.py"))
    assert len(facts) > 1
    assert [m for path in facts for m in imported_modules(path) if m.split(".")[0] in PARTS] == []


def imports_of_modules():
    """Which modules each module imports, anywhere in its code."""
    paths = {path for part in PARTS for path in (REPOSITORY / part).rglob("*.py")}
    modules = {
        ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__"): path for path in paths
    }

    def of(name):
        for module in imported_modules(modules[name]):
            known = module if module in modules else module.rpartition(".")[0]
            if known in modules and known != name:
                yield known

    return {name: set(of(name)) for name in modules}


def test_no_modules_import_each_other_in_a_circle():
    imports = imports_of_modules()
    while leaves := {name for name, above in imports.items() if not above & imports.keys()}:
        imports = {name: above for name, above in imports.items() if name not in leaves}
    assert sorted(imports) == []


RUN_AND_LIST = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
except SystemExit:
    pass
print("loaded:", *sys.modules)
"""


def modules_loaded_by(*arguments):
    result = subprocess.run(
        [sys.executable, "-c", RUN_AND_LIST, *arguments], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    return set(result.stdout.rpartition("loaded:")[2].split())


HEAVY = {"torch", "ray", "mlflow"}


def test_the_help_of_mlp_loads_no_provider_no_training_library_and_nothing_that_draws():
    assert not modules_loaded_by("mlp.cli", "--help") & (HEAVY | {"pulumi", "pulumi_aws", "boto3", "rich", "pydantic"})


def test_a_plan_loads_no_training_library():
    assert not modules_loaded_by("mlp.cli", "plan", "prod", "--json", "-") & (HEAVY | {"moto", "boto3", "botocore"})


def test_the_help_of_the_workloads_loads_no_training_library():
    assert not modules_loaded_by("workloads", "--help") & HEAVY


def test_the_standard_librarys_platform_module_is_not_shadowed():
    assert not (REPOSITORY / "stacks" / "platform" / "__init__.py").exists()
    assert not any(Path(folder or ".").resolve() == REPOSITORY / "stacks" for folder in sys.path)


def test_stacks_hold_the_programs_and_their_plans_and_nothing_else():
    files = {
        path.relative_to(REPOSITORY / "stacks").as_posix()
        for path in (REPOSITORY / "stacks").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    expected = {"platform/__main__.py", "workloads/__main__.py", "workloads/Pulumi.yaml"}
    assert expected <= files
    assert [
        name for name in files - expected if not re.fullmatch(r"plans/.+\.json|workloads/Pulumi\.\w+\.yaml", name)
    ] == []


def test_every_file_that_documents_and_messages_name_is_there():
    documents = [
        *REPOSITORY.glob("*.md"),
        *(REPOSITORY / "docs").rglob("*.md"),
        *(REPOSITORY / ".github").rglob("*.yml"),
    ]
    code = [path for part in PARTS for path in (REPOSITORY / part).rglob("*.py")]
    of_the_past = REPOSITORY / "CHANGELOG.md"
    missing = {
        f"{path.name}: {name}"
        for path in {*documents, *code} - {of_the_past}
        for name in re.findall(rf"(?<![\w/.])(?:{'|'.join(PARTS)})/[\w/]+\.(?:py|sh|json)\b", path.read_text())
        if not (REPOSITORY / name).exists()
    }
    assert missing == set()


DOCUMENTS = (
    *(path for path in REPOSITORY.glob("*.md") if path.name != "CHANGELOG.md"),  # it names what is gone
    *(REPOSITORY / "docs").rglob("*.md"),
)
FOLDERS = (*PARTS, "tests", "bench", "images", "docs")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_path_that_a_document_quotes_is_there(document):
    quoted = set(re.findall(rf"`((?:{'|'.join(FOLDERS)})/[\w./-]*)`", document.read_text()))
    assert [name for name in quoted if not (REPOSITORY / name).exists()] == []


def headings(document):
    """The anchors of a document, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_within_the_documents_leads_somewhere(document):
    links = re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)", document.read_text())
    targets = [((document.parent / file) if file else document, anchor) for file, anchor in links]
    assert [
        f"{target}#{anchor}"
        for target, anchor in targets
        if not target.exists() or (anchor and anchor not in headings(target))
    ] == []


def test_the_folders_of_the_readmes_tree_are_there():
    [tree] = re.findall(r"^```\n(infra/ .+?)^```$", (REPOSITORY / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    folders = {
        name if at_the_margin else f"mlp/{name}"
        for at_the_margin, line in ((not line.startswith(" "), line) for line in tree.splitlines())
        for name in re.findall(r"(?<![\w/])[\w/]+/(?= )", line)
    }
    assert len(folders) > 15
    assert [name for name in folders if not (REPOSITORY / name).is_dir()] == []


def test_the_list_of_commands_has_them_all():
    text = (REPOSITORY / "docs" / "commands.md").read_text()
    typed = {name for name, line in first_lines(app).items() if line and name != "charts"}
    assert len(typed) > 15
    assert [name for name in typed if not re.search(rf"`mlp {name}\b", text)] == []


def test_nothing_that_an_editor_or_a_merge_leaves_is_kept():
    places = [REPOSITORY / name for name in (*PARTS, "tests", "bench", "docs", "images", ".ci", ".github")]
    ends = ("*.orig", "*.rej", "*.bak")
    found = [path for place in places for end in ends for path in place.rglob(end)]
    found += [path for end in ends for path in REPOSITORY.glob(end)]
    assert found == []


def test_a_component_is_read_in_one_go():
    components = [path for path in (REPOSITORY / "infra").rglob("*.py") if "ComponentResource)" in path.read_text()]
    assert components
    assert [path.name for path in components if len(path.read_text().splitlines()) >= 300] == []


@pytest.mark.parametrize("part", ["infra", "mlp", "stacks"])
def test_iam_documents_are_written_in_one_place(part):
    writers = {
        path.relative_to(REPOSITORY).as_posix()
        for path in (REPOSITORY / part).rglob("*.py")
        if "2012-10-17" in path.read_text()
    }
    assert writers <= {"infra/identity/iam.py"}


def test_commands_draw_and_write_files_in_one_place():
    alone = {"Console": "mlp/shared/console.py", "os.fsync": "mlp/shared/files.py", "mkstemp": "mlp/shared/files.py"}
    found = {
        (call, path.relative_to(REPOSITORY).as_posix())
        for path in (REPOSITORY / "mlp").rglob("*.py")
        for call in re.findall(rf"\b({'|'.join(alone)})\(", path.read_text())
    }
    assert {place for place in found if place[1] != alone[place[0]]} == set()

"""What kubectl makes of packaging/kubernetes, and what Kubernetes' own types say of it."""
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml", reason="python3-yaml is not installed")

ROOT = Path(__file__).parents[3]
BASE = ROOT / "packaging/kubernetes"
SCHEMA = ROOT / "build/kubernetes"
# Types that are generated from Kubernetes' own OpenAPI description, and the compiler that holds objects against them: a
# schema check that, unlike JSON Schema, also refuses a key that does not exist.
SCHEMA_PACKAGES = ("kubernetes-types@1.30.0", "typescript@5.4.5")


def rendered(directory):
    """What `kubectl apply -k` would apply."""
    if not shutil.which("kubectl"):
        pytest.skip("kubectl is not installed")
    done = subprocess.run(["kubectl", "kustomize", directory], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def by_kind(objects):
    return {each["kind"]: each for each in objects}


def overlay(directory, *components, more=""):
    """The base with these components, as an overlay of somebody's own names both."""
    base = os.path.relpath(BASE, directory)
    named = "".join(f"- {base}/{each}\n" for each in components)
    (directory / "kustomization.yaml").write_text(f"resources: [{base}]\ncomponents:\n{named}{more}")
    return rendered(directory)


@pytest.fixture(scope="module")
def compiler():
    """Says what is wrong with objects, a line each."""
    if not shutil.which("npm"):
        pytest.skip("npm is not installed")
    SCHEMA.mkdir(parents=True, exist_ok=True)
    if not all((SCHEMA / "node_modules" / each.partition("@")[0]).exists() for each in SCHEMA_PACKAGES):
        installed = subprocess.run(["npm", "install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund",
                                    *SCHEMA_PACKAGES], cwd=SCHEMA, capture_output=True, text=True, timeout=300)
        assert installed.returncode == 0, installed.stderr

    def complaints(objects):
        lines = []
        for number, each in enumerate(objects):
            version = "core/v1" if each["apiVersion"] == "v1" else each["apiVersion"]
            lines += [f'import {{ {each["kind"]} as Kind{number} }} from "kubernetes-types/{version}";',
                      f"export const object{number}: Kind{number} = {json.dumps(each)};"]
        (SCHEMA / "objects.ts").write_text("\n".join(lines))
        done = subprocess.run(["node_modules/.bin/tsc", "--noEmit", "--strict", "--skipLibCheck", "--module", "node16",
                               "--moduleResolution", "node16", "objects.ts"], cwd=SCHEMA, capture_output=True, text=True,
                              timeout=120)
        return done.stdout.splitlines()
    return complaints

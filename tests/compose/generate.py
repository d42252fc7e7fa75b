"""Random Compose projects from a seed: ordinary ones, odd ones, and a share of wrong ones."""

from __future__ import annotations

import json
from dataclasses import replace
from random import Random
from typing import Any

from tests.compose.oracle import Case

KEYS = ("llm", "big", "my-model", "my.model", "Emb_1")
VARIABLES = {"SET": "value", "EMPTY": "", "NUM": "7", "ODD": "a b$c"}
TEXTS = (
    *("ai/smollm2", "hf.co/org/model:Q4", "a$$b", "${SET-u}", "x-${UNSET:-dflt}", "${EMPTY:-e}${SET:+s}", "m$SET/$NUM"),
    *("${UNSET-u${SET}}", "m/${DOT}", "yes", "no", "é", "m${EMPTY-x}", "plain text", "m${ODD}", "${INNER:-none}"),
)
SIZES = ("1", "4096", "0x1000", "1e3", "010", "1_000", "2048.0", "0", "-1")
_WRONG: dict[str, tuple[Any, ...]] = {
    "context_size": ("many", "'5'", "${NUM}", 1.5, None, True),
    "runtime_flags": ("text", [1], {"a": "b"}),
    "model": (None, 5, [], "${UNSET?needed}", "${1x}", "${SET"),
    "unknown": (1,),
    "x-fine": ({"a": [1]},),
    "name": ("fine", 1),
}
WRONG = tuple((key, value) for key, values in _WRONG.items() for value in values)
_SERVICE_WRONG: dict[str, tuple[Any, ...]] = {
    "models": (["nobody"], ["llm", "llm"], "llm", [1], {"llm": {"url_var": "A"}}, None),
    "image": (None, ""),
    "imgae": ("x",),
    "extends": ("nobody", {"file": "lost.yaml", "service": "a"}),
    "depends_on": (["nobody"],),
    "networks": (["lost"],),
    "tty": ([],),
    "x-fine": (1,),
    "command": (["a"],),
}
SERVICE_WRONG = tuple((key, value) for key, values in _SERVICE_WRONG.items() for value in values)


class Tagged:
    """A value with `!reset` or `!override` before it."""

    def __init__(self, tag: str, value: Any) -> None:
        self.tag = tag
        self.value = value


class Plain:
    """A scalar exactly as it is to be written."""

    def __init__(self, text: str) -> None:
        self.text = text


class Alias:
    """`*name`."""

    def __init__(self, name: str) -> None:
        self.name = name


def project(seed: int) -> Case:
    """The project of this seed, always the same one."""
    return _Generator(Random(seed), seed).case()


_DAMAGE = (
    *(
        "",
        "{",
        "}",
        "[",
        "]",
        ":",
        " ",
        "'",
        '"',
        "\n",
        "- ",
        "~",
        "null",
        "!reset ",
        "!override ",
        "${",
        "$",
        "#",
        " # ",
    ),
    *("x-", "1", "\n\n", "  ", ",", "---\n", "model", "models", "llm: ", "&b ", "*base "),
)


def damaged(seed: int) -> Case:
    """The project of this seed after a slip or two of somebody's fingers in one of its files."""
    random, case = Random(seed), project(seed)
    name = random.choice(sorted(case.files))
    text = case.files[name]
    for _ in range(random.choice((1, 1, 2))):
        text = _lines(random, text) if random.random() < 0.5 else _characters(random, text)
    return replace(case, files={**case.files, name: text}, note=f"damaged {case.note}")


def _lines(random: Random, text: str) -> str:
    lines = text.split("\n")
    at = random.randrange(len(lines))
    line = lines[at]
    changed: tuple[list[str], ...] = ([], [line, line], ["  " + line], [line[2:]])
    lines[at : at + 1] = random.choice(changed)
    return "\n".join(lines)


def _characters(random: Random, text: str) -> str:
    at = random.randrange(len(text) + 1)
    return text[:at] + random.choice(_DAMAGE) + text[at + random.choice((0, 0, 1, 2)) :]


class _Generator:
    def __init__(self, random: Random, seed: int) -> None:
        self.random = random
        self.seed = seed
        self.keys = random.sample(KEYS, random.randint(1, 3))
        self.services = ["app", "web", "job"][: random.randint(1, 3)]
        self.nested = random.random() < 0.5
        self.listed = random.random() < 0.6
        self.files: dict[str, str] = {}

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def case(self) -> Case:
        random = self.random
        base = self._base()
        documents = [base] + [self._later() for _ in range(random.choice((0, 0, 0, 1)))]
        self.files["compose.yaml"] = "---\n".join(self._text(document) for document in documents)
        options: dict[str, Any] = {}
        for number in range(random.choice((0, 0, 1, 1, 2))):
            name = "compose.override.yaml" if number == 0 and self.chance(0.5) else f"over{number}.yaml"
            self.files[name] = self._text(self._later())
        extra = sorted(name for name in self.files if name.startswith("over"))
        if extra:
            options["files"] = ("compose.yaml", *extra)
        environment = {name: value for name, value in VARIABLES.items() if self.chance(0.8)}
        self._settings(options, environment)
        return Case(files=self.files, options=options, environment=environment, note=f"seed {self.seed}")

    def _settings(self, options: dict[str, Any], environment: dict[str, str]) -> None:
        if self.chance(0.4):
            self.files[".env"] = "DOT=dotted\nSET=lost\nDERIVED=${DOT}-${SET}\n"
        if self.chance(0.2):
            self.files["more.env"] = "DOT='other'\nINNER=given\n"
            options["env_files"] = ("more.env",)
        if self.chance(0.3):
            options["profiles"] = self.random.choice((("p",), ("q",), ("p", "q"), ("*",)))
        elif self.chance(0.2):
            environment["COMPOSE_PROFILES"] = self.random.choice(("p", "q,p", "*", ""))
        if self.chance(0.15):
            options["project_name"] = self.random.choice(("named", "Bad Name"))
        elif self.chance(0.1):
            environment["COMPOSE_PROJECT_NAME"] = "fromenv"

    def _base(self) -> dict[str, Any]:
        root: dict[str, Any] = {}
        if self.chance(0.2):
            root["name"] = self.random.choice(("My App", "${SET}-x", "", "plain"))
        if self.chance(0.25):
            root["x-base"] = Tagged("&base", self._model(complete=True, wrong=0.0))
        services = {name: self._service(name) for name in self.services}
        models: dict[str, Any] = {key: self._model(complete=True) for key in self.keys}
        if "x-base" in root:
            key = self.random.choice(self.keys)
            models[key] = Alias("base") if self.chance(0.5) else {"<<": Alias("base"), **self._model(complete=False)}
        if self.chance(0.2):
            self._include(root, models)
        if self.chance(0.2):
            root["x-cloud-options"] = self._options()
        root |= {"services": services, "models": models}
        return root

    def _include(self, root: dict[str, Any], models: dict[str, Any]) -> None:
        key = self.random.choice((*KEYS, *self.keys))
        inner = self._model(complete=True, wrong=0.05)
        text = {"services": {"inner": {"image": "y", "models": [key]}}, "models": {key: inner}}
        self.files["inc/inc.yaml"] = self._text(text)
        if self.chance(0.5):
            self.files["inc/.env"] = "INNER=inside\nSET=lost\n"
        path = "inc/inc.yaml"
        forms: tuple[Any, ...] = (path, {"path": path}, {"path": [path]}, {"path": path, "project_directory": "."})
        root["include"] = [self.random.choice(forms)]
        if key in self.keys and self.chance(0.7):
            models[key] = dict(inner)

    def _later(self) -> dict[str, Any]:
        """A document that changes what is there."""
        root: dict[str, Any] = {}
        models = {key: self._tag(self._model(complete=False)) for key in self.keys if self.chance(0.6)}
        if models:
            root["models"] = models
        services: dict[str, Any] = {}
        for name in self.services:
            if self.chance(0.4):
                services[name] = {"models": self._tag(self._use())}
        if services:
            root["services"] = services
        if self.chance(0.1):
            root["x-cloud-options"] = self._options()
        if self.chance(0.1):
            root["name"] = "later"
        return root or {"x-nothing": 1}

    def _tag(self, value: Any) -> Any:
        if self.chance(0.8):
            return value
        return Tagged(self.random.choice(("!reset", "!override")), value)

    def _service(self, name: str) -> dict[str, Any]:
        random = self.random
        service: dict[str, Any] = {"image": "x"}
        if self.chance(0.8):
            service["models"] = self._use()
        if self.chance(0.25):
            service["profiles"] = random.sample(("p", "q"), random.randint(1, 2))
        if self.chance(0.25):
            service["environment"] = random.choice((["A=1"], {"A": "${SET}", "B": None}))
        others = [other for other in self.services if other != name]
        if others and self.chance(0.2):
            service["depends_on"] = [random.choice(others)]
        self._extend(service, others)
        if self.chance(0.02):
            key, value = random.choice(SERVICE_WRONG)
            service[key] = value
        return service

    def _extend(self, service: dict[str, Any], others: list[str]) -> None:
        if others and self.chance(0.15):
            service["extends"] = self.random.choice((others[0], {"service": others[0]}))
        elif self.chance(0.15):
            parent = {"image": "parent", "models": self._use()}
            self.files["parent.yaml"] = self._text({"services": {"parent": parent}})
            service["extends"] = {"file": "parent.yaml", "service": "parent"}

    def _use(self) -> Any:
        keys = self.random.sample(self.keys, self.random.randint(1, len(self.keys)))
        if self.chance(0.5):
            return keys
        return {key: self._variables(key) for key in keys}

    def _variables(self, key: str) -> Any:
        if self.chance(0.3):
            return None
        prefix = key.upper().replace("-", "_").replace(".", "_DOT_")
        names = {"endpoint_var": f"AI_{prefix}_ENDPOINT", "model_var": f"${{SET}}_{prefix}"}
        return {name: text for name, text in names.items() if self.chance(0.6)}

    def _model(self, *, complete: bool, wrong: float = 0.015) -> dict[str, Any]:
        random = self.random
        model: dict[str, Any] = {}
        if complete or self.chance(0.4):
            model["model"] = random.choice(TEXTS)
        if self.chance(0.4):
            model["context_size"] = Plain(random.choice(SIZES))
        if self.chance(0.4):
            model["runtime_flags"] = [
                random.choice(("--a", "-b", "${SET}", "--c=1")) for _ in range(random.randint(0, 3))
            ]
        if self.chance(0.5):
            model["x-cloud-options"] = self._options()
        for key in ("context_size", "runtime_flags"):
            if key in model and not complete and self.chance(0.2):
                model[key] = Tagged(random.choice(("!reset", "!override")), model[key])
        if self.chance(wrong):
            key, value = random.choice(WRONG)
            model[key] = value
        return model

    def _options(self) -> Any:
        random = self.random
        names = random.sample(("region", "zone", "size", "spot"), random.randint(1, 3))
        values = {
            name: random.choice(("a", "us-west-2", "${SET}", "1e3", "010", "${UNSET:-d}", "x=y", "true"))
            for name in names
        }
        if self.listed != self.chance(0.03):
            return [name if self.chance(0.1) else f"cloud.{name}={value}" for name, value in values.items()]
        if self.nested:
            return {"cloud": values}
        return {f"cloud.{name}": [value, "b"] if self.chance(0.1) else value for name, value in values.items()}

    def _text(self, value: dict[str, Any]) -> str:
        return "".join(f"{key}:{self._block(child, 1)}" for key, child in value.items())

    def _block(self, value: Any, depth: int) -> str:
        if isinstance(value, Tagged) and isinstance(value.value, dict) and depth < 4:
            return f" {value.tag}{self._block(value.value, depth)}"
        if isinstance(value, dict) and value and depth < 4 and self.chance(0.8):
            indent = "  " * depth
            return "\n" + "".join(f"{indent}{key}:{self._block(child, depth + 1)}" for key, child in value.items())
        return f" {self._flow(value)}\n"

    def _flow(self, value: Any) -> str:
        if isinstance(value, Tagged):
            return f"{value.tag} {self._flow(value.value)}"
        if isinstance(value, Plain):
            return value.text
        if isinstance(value, Alias):
            return f"*{value.name} "
        if isinstance(value, dict):
            return "{" + ", ".join(f"{key}: {self._flow(child)}" for key, child in value.items()) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(self._flow(child) for child in value) + "]"
        return self._scalar(value)

    def _scalar(self, value: Any) -> str:
        if value is None:
            return self.random.choice(("null", "~"))
        if not isinstance(value, str):
            return str(value).lower()
        if (value.replace("_", "").isalnum() and self.chance(0.5)) or value.startswith("'"):
            return value
        return json.dumps(value, ensure_ascii=False) if self.chance(0.5) else "'" + value.replace("'", "''") + "'"

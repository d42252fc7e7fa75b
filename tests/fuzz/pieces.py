"""Small pieces of everything a Compose project is written in, and random combinations of them."""

from __future__ import annotations

from random import Random

from drivers import catalog, flags

NAMES = ("llm", "app", "a-b", "a_b", "my.model", "x-a", "web", "LLM", "é", "no", "null", "<<", "0", "1_000", "a b", "")
VARIABLES = (
    "SET",
    "UNSET",
    "EMPTY",
    "NUM",
    "ODD",
    "API_KEY",
    "HF_TOKEN",
    "DATABASE",
    "COMPOSE_PROJECT_NAME",
    "A",
    "_",
    "1X",
    "Ä",
    "",
)
COMPOSE_VARIABLES = (
    *("COMPOSE_FILE", "COMPOSE_PATH_SEPARATOR", "COMPOSE_PROFILES", "COMPOSE_PROJECT_NAME", "COMPOSE_ENV_FILES"),
    "COMPOSE_DISABLE_ENV_FILE",
)
SCALARS = (
    *("0", "-1", "1", "0x10", "0o17", "010", "1_000", "1e3", "1e999", ".inf", "-.inf", ".nan", "1.5", "2147483648"),
    *("9223372036854775808", "18446744073709551616", "9" * 70, "9" * 5000, "1:30", "59:59:59", "2024-01-01"),
    *("2001-12-14 21:59:43.1", "true", "no", "on", "y", "~", "null", "''", '""', "'''", '"\\u0041"', '"\\ud800"'),
    *('"\\x00"', '"\\U0010ffff"', "é", "e\u0301", "\u2028", "\u0085", "\ufeff", "\u202e", "🦙", "=", "|", ">-", "%"),
    *("ai/smollm2", "smollm2", "hf.co/org/Repo:q4_k_m", "ghcr.io/me/chat:1", "localhost:5000/x", "user:pw@host/x"),
    *("evil.example/x@sha256:" + "0" * 64, "169.254.169.254/x", "file:/srv/m.gguf", "file:/srv/a b$c.gguf"),
    *(
        "../../etc/passwd",
        "/etc/passwd",
        "https://example.com/x.git",
        "git@example.com:x",
        "oci://x/y",
        "-",
        "--",
        "-f",
    ),
    *("other.yaml", "inc/inc.yaml", "compose.yaml", ".env", "e.env", "host", "service:app", "container:x", "none"),
    *("host.docker.internal:host-gateway", "PATH", "LD_PRELOAD", "A=B", "A B", "a\\nb", "a" * 300, "[]", "{}", "[[]]"),
)
OPTION_VALUES = (
    *("us-east-1", "us-east-1,eu-west-1", "europe-west4", "us-east-1 --endpoint-url http://evil", "g5.xlarge", "gpu-s"),
    *("ml.g5.xlarge", "g2-standard-8", "l4:1", "l4:0", "nvidia-l4:1,a100:2", "24GB", "24", "1..4", "4..1", "..", "1.."),
    *(
        "10m",
        "1h30m",
        "0",
        "-1",
        "1e9",
        "1e999",
        "nan",
        "inf",
        "50%",
        "$3",
        "3.50",
        "true",
        "false",
        "on",
        "auto",
        "none",
    ),
    *(
        "up@0 8 * * *; down@0 20 * * *; UTC",
        "up@* * * * *",
        "a=b,c=d",
        "hf://org/x",
        "s3://b/k",
        "file:///srv/x",
        "x" * 300,
    ),
    *(
        "never",
        "prefer",
        "require",
        "public",
        "api-key",
        "iam",
        "provisioned:2",
        "provisioned:-1",
        "",
        " ",
        ",",
        "=",
        "٣",
    ),
)
MARKS = (
    *("&a ", "*a ", "*a", "&a &b ", "*lost ", "<<: ", "<<: *a\n", "<<: [*a, *a]\n", "!reset ", "!override ", "! "),
    *(
        "!reset null",
        "!override {}",
        "!!str ",
        "!!int ",
        "!!float ",
        "!!bool ",
        "!!null ",
        "!!map ",
        "!!seq ",
        "!!set ",
    ),
    *(
        "!!binary ",
        "!!timestamp ",
        "!!python/object/apply:os.system ",
        "!Ref ",
        "!<x> ",
        "!!",
        "? ",
        ": ",
        "- ",
        "---\n",
    ),
    *("...\n", "--- !reset\n", "%YAML 1.1\n---\n", "%YAML 1.2\n---\n", "%TAG ! tag:x,2000:\n---\n", "{", "}", "[", "]"),
    *(
        ",",
        ":",
        "'",
        '"',
        "|\n",
        ">\n",
        "|2-\n",
        "# ",
        " #",
        "\t",
        "\n",
        "\r\n",
        "\r",
        "\0",
        "\x1b[31m",
        "\\",
        "`",
        "@",
    ),
    *(
        "<<<<<<< HEAD\n",
        "=======\n",
        ">>>>>>> x\n",
        "x-",
        "&",
        "*",
        "$",
        "$$",
        "${",
        "}",
        "\xa0",
        "\u3000",
        "  ",
        "    ",
    ),
)
LINES = (
    *(
        "include: [inc/inc.yaml]",
        "include: [{path: [other.yaml, inc/inc.yaml], env_file: e.env, project_directory: inc}]",
    ),
    *(
        "include: ['https://example.com/x.git']",
        "include: [compose.yaml]",
        "name: My App",
        "name: ${SET}",
        "version: '3'",
    ),
    *("services: {app: {image: x, models: [llm]}}", "models: {llm: {model: ai/smollm2}}", "models: !reset null"),
    *("services: {z: {extends: {file: other.yaml, service: app}}}", "services: {a: {extends: b}, b: {extends: a}}"),
    *("services: {p: {provider: {type: model, options: {model: m, runtime-flags: '--a b', context-size: 10}}}}"),
    *(
        "x-cloud-options: [cloud.region=us-east-1]",
        "x-a: &a {model: ai/smollm2}",
        "    <<: *a",
        "    context_size: 4096",
    ),
    *("    runtime_flags: [--top-k, '4']", "    x-cloud-options: [spot]", "    endpoint_var: A", "    profiles: [p]"),
    *("    networks: ['${API_KEY}']", "    links: ['${HF_TOKEN}']", "    cap_add: ['$API_KEY', '$API_KEY']"),
    *("    volumes: ['${DATABASE}:/x']", "    image: '${LOST?${API_KEY}}'", "    pid: 'service:$HF_TOKEN'"),
    *("    depends_on: {llm: {condition: service_started}}", "    network_mode: host", "    extra_hosts: ['a:b']"),
)


def expression(random: Random, depth: int = 0) -> str:
    """`$A`, `${A}`, `${A:-…}` with whatever inside; sometimes without its end."""
    name = random.choice(VARIABLES)
    kind = random.randrange(8)
    if kind == 0:
        return f"${name}"
    if kind == 1:
        return f"${{{name}"
    inner = expression(random, depth + 1) if depth < 4 and random.random() < 0.4 else random.choice(SCALARS[:40])
    operator = random.choice((":-", "-", ":?", "?", ":+", "+", "", ":", "}"))
    return f"${{{name}{operator}{inner if operator else ''}}}"


def option(random: Random) -> tuple[str, str]:
    """A key of the vocabulary, or nearly one, and a value that may be its."""
    keys = tuple(catalog.vocabulary().keys)
    key = random.choice(keys)
    kind = random.randrange(10)
    if kind == 0:
        key = random.choice(
            ("cloud.regoin", "aws.vpc", "gcp.sa", "llamacpp.x", "cloud", "cloud.", ".", "spot", "a.b.c")
        )
    elif kind == 1:
        key = key.upper()
    choices = catalog.vocabulary().keys[key].choices if key in catalog.vocabulary().keys else ()
    value = random.choice(choices) if choices and random.random() < 0.6 else random.choice(OPTION_VALUES)
    return key, value


def options(random: Random) -> str:
    """`x-cloud-options` as a list, a mapping or a nested mapping, on one line."""
    pairs = [option(random) for _ in range(random.randint(0, 4))]
    form = random.randrange(4)
    if form == 0:
        return "[" + ", ".join(f"'{key}={value}'" for key, value in pairs) + "]"
    if form == 1:
        return "{" + ", ".join(f"{key}: '{value}'" for key, value in pairs) + "}"
    if form == 2:
        inner = ", ".join(f"{key.removeprefix('cloud.')}: {value or '~'}" for key, value in pairs)
        return f"{{cloud: {{{inner}}}}}"
    return (
        "[" + ", ".join(f"{key}" if random.random() < 0.3 else f"{{{key}: [{value}, b]}}" for key, value in pairs) + "]"
    )


def runtime_flags(random: Random) -> str:
    """Allowed and refused flags in all spellings, with values that fit and others."""
    known = flags.catalog()
    names = (*known.allowed, *known.refused, "--a-flag", "--", "-", "", "x")
    words: list[str] = []
    for _ in range(random.randint(0, 5)):
        name = random.choice(names)
        if random.random() < 0.1:
            name = name.replace("-", "_").replace("__", "--", 1)
        value = random.choice(("1", "-1", "0.5", "on", "auto", "{}", "--log-file", "/x", "x=y", "", "9" * 12, "🦙"))
        words += random.choice(([name], [name, value], [f"{name}={value}"], [f"{name} {value}"]))
    return "[" + ", ".join("'" + word.replace("'", "''") + "'" for word in words) + "]"


def value(random: Random, depth: int = 0) -> str:
    """Any YAML value in flow style."""
    kind = random.randrange(9)
    if kind == 0 and depth < 4:
        return "[" + ", ".join(value(random, depth + 1) for _ in range(random.randint(0, 3))) + "]"
    if kind == 1 and depth < 4:
        pairs = (f"{random.choice(NAMES)}: {value(random, depth + 1)}" for _ in range(random.randint(0, 3)))
        return "{" + ", ".join(pairs) + "}"
    if kind == 2:
        return f"'{expression(random)}'"
    if kind == 3:
        return random.choice(MARKS) + random.choice(SCALARS)
    if kind == 4:
        return options(random)
    if kind == 5:
        return runtime_flags(random)
    return random.choice(SCALARS)


def assignment(random: Random) -> str:
    """A line of an env file."""
    name = random.choice(random.choice((VARIABLES, COMPOSE_VARIABLES)))
    quote = random.choice(("", "", "'", '"', "`"))
    end = quote if random.random() < 0.9 else ""
    sign = random.choice(("=", "=", "=", ":", " = ", "", "=="))
    inner = expression(random) if random.random() < 0.5 else random.choice(SCALARS)
    return f"{random.choice(('', '', 'export ', ' ', '#'))}{name}{sign}{quote}{inner}{end}"

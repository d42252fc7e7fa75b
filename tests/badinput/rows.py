"""The table of bad inputs: what each row is about, and the tests that show the required result. Every row is here.

A case is `file::test` below `tests/`, with `[parameter]` where one of several is meant. A row that concerns what this
release does not have says so in `later`; it may have cases for the part that exists.
"""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """One row: its number, the input in a few words, and where the result is shown."""

    number: int
    about: str
    cases: tuple[str, ...] = ()
    later: str = ""


BAD = "compose/test_bad_input.py::test_refused_with_a_place_and_a_reason"
FAST = "compose/test_bad_input.py::test_bombs_are_refused_within_50_ms"
COMPOSE = "compose/test_bad_input.py::"
LOAD = "compose/test_load.py::"
FLAGS = "drivers/test_flags.py::"
SPELLING = "drivers/test_flags_spelling.py::"
DANGEROUS = f"{SPELLING}test_what_is_dangerous_is_refused_in_every_spelling"
STORE = "drivers/test_modelstore_"
OPTIONS = "reconciler/test_options.py::"
RENDER = "reconciler/test_render.py::"
WRITE = "reconciler/test_write.py::"
GIT = "reconciler/test_source_git.py::"
FENCE = "reconciler/test_source_fence.py::"
REST = "badinput/test_rest.py::"
CANARIES = "integration/test_canaries.py::"


def _bad(*names: str) -> tuple[str, ...]:
    return tuple(f"{BAD}[{name}]" for name in names)


def _dangerous(*names: str) -> tuple[str, ...]:
    return tuple(f"{DANGEROUS}[{name}]" for name in names)


ROWS = (
    Row(1, "merge bomb", (*_bad("merge bomb"), f"{FAST}[merge bomb]")),
    Row(
        2,
        "billion laughs; docker compose is stopped when it hangs",
        (
            *_bad("billion laughs", "many aliases"),
            f"{FAST}[billion laughs]",
            "reconciler/test_services.py::test_a_roll_out_that_hangs_is_killed_with_its_children",
        ),
    ),
    Row(
        3, "60,000 and 9,000 levels", (*_bad("60,000 brackets", "9,000 deep", "9,000 mappings"), f"{FAST}[9,000 deep]")
    ),
    Row(4, "recursive alias", _bad("recursive alias", "recursive list")),
    Row(
        5,
        "keys twice, also by other quotes or another Unicode spelling",
        _bad("duplicate key", "duplicate key, quoted", "duplicate merge key", "look-alike key"),
    ),
    Row(6, "too large (4 MiB here, see compose/README)", _bad("5 MiB", "long text", "many nodes", "many aliases")),
    Row(
        7,
        "integers that are none (0x10 is 16, as in Compose)",
        _bad("huge integer", "infinity", "huge float", "large float", "sexagesimal", "sexagesimal, plain"),
    ),
    Row(
        8,
        "keys that are no strings (no, on and y are strings to Compose)",
        (
            *_bad("integer key", "null key", "date key", "boolean key", "empty key"),
            f"{COMPOSE}test_words_that_are_strings_to_compose_may_be_names",
        ),
    ),
    Row(9, "tags", _bad("python tag", "binary tag", "set tag", "timestamp tag", "custom tag", "tag on a key")),
    Row(
        10,
        "control characters, bidi controls, surrogates",
        _bad("escaped NUL", "raw NUL", "escape", "C1 control", "bidi", "bidi isolate, escaped", "surrogate"),
    ),
    Row(
        11,
        "several documents (merged, as in Compose), BOM, CRLF, tabs, other encodings",
        (
            *_bad("tabs", "latin-1", "UTF-16", "cut in a character"),
            f"{COMPOSE}test_byte_order_mark_and_windows_line_ends_are_fine",
            f"{LOAD}test_documents_of_one_file_are_like_files",
        ),
    ),
    Row(12, "merge conflict", _bad("merge conflict", "merge conflict, half resolved", "merge conflict, CRLF")),
    Row(
        13,
        "odd names of models (Compose's own pattern holds; platforms get a hash)",
        (
            *_bad("path as a name", "emoji as a name", "line in a name"),
            f"{REST}test_whatever_a_model_is_called_its_name_on_a_platform_is_harmless",
        ),
    ),
    Row(
        14,
        "names that become one",
        (
            *_bad("colliding names"),
            f"{RENDER}test_two_models_never_share_a_variable",
            f"{REST}test_names_that_look_alike_stay_apart_on_a_platform",
        ),
    ),
    Row(
        15,
        "flags that execute",
        _dangerous("--mcp-servers-json", "--mcp-servers-config", "--tools", "--tools-runtime", "--agent", "-ag")
        + _dangerous("--video-ffmpeg-dir", "--models-preset", "--models-dir"),
    ),
    Row(16, "flags that write", _dangerous("--log-file", "--log-prompts-dir", "--slot-save-path", "-lcd")),
    Row(
        17,
        "flags that read",
        (
            *_dangerous(
                "--path", "--media-path", "--api-key-file", "--ssl-key-file", "--ssl-cert-file", "--grammar-file"
            ),
            *_dangerous("-jf", "--chat-template-file", "--ui-config-file", "-m", "-mm", "-md", "--lora"),
            *_dangerous("--control-vector", "-lcs"),
            f"{SPELLING}test_nothing_that_names_a_file_a_place_or_a_program_is_allowed",
        ),
    ),
    Row(
        18,
        "flags that fetch",
        _dangerous(
            "-mu", "--model-url", "-hf", "-dr", "-mmu", "--rpc", "-hft", "--ui-mcp-proxy", "--gpt-oss-20b-default"
        ),
    ),
    Row(
        19,
        "flags of the listener",
        _dangerous("--host", "--port", "--reuse-port", "--api-key", "--api-prefix", "--cors-origins", "--props")
        + _dangerous("--metrics", "--alias"),
    ),
    Row(
        20,
        "other spellings, smuggled values, repetitions",
        (
            f"{SPELLING}test_no_spelling_of_any_option_reaches_the_server_as_something_else",
            f"{SPELLING}test_every_option_of_the_list_is_refused_with_a_value_that_is_not_its_own",
            f"{FLAGS}test_a_flag_given_twice_under_any_name_is_refused",
            f"{FLAGS}test_any_list_gets_one_finding_per_item_and_nothing_unknown_comes_out",
        ),
    ),
    Row(
        21,
        "values out of bounds; prompts in logs",
        (
            *_dangerous("-np", "-c", "-v"),
            "drivers/test_llamacpp_command.py::test_a_value_out_of_bounds_is_refused_and_not_passed_on",
        ),
    ),
    Row(
        22,
        "shell characters in flags",
        (
            f"{REST}test_what_means_something_to_a_shell_is_one_word_or_refused",
            "drivers/test_llamacpp_start.py::test_what_was_asked_for_is_on_the_command_line",
        ),
    ),
    Row(
        23,
        "LLAMA_ARG_*, GGML_BACKEND_PATH, LD_PRELOAD in our environment",
        ("drivers/test_llamacpp_start.py::test_nothing_of_our_environment_reaches_the_server",),
    ),
    Row(
        24,
        "secrets of the process in a file (variables that look like one, see compose/README)",
        (
            f"{LOAD}test_a_secret_of_the_process_is_not_read_into_anything_we_act_on",
            f"{LOAD}test_nor_by_way_of_an_env_file",
            f"{LOAD}test_no_error_quotes_a_secret_of_the_process",
            f"{CANARIES}test_no_mistake_in_a_pull_request_makes_us_tell_one",
        ),
    ),
    Row(
        25,
        "files that are none of ours",
        (
            f"{REST}test_a_services_env_files_are_never_read",
            f"{FENCE}test_nothing_outside_is_read_and_nothing_of_it_is_said",
            f"{FENCE}test_what_is_found_by_itself_may_be_no_link_out_of_the_checkout",
            f"{GIT}test_symbolic_links_and_submodules_are_refused",
            "reconciler/test_source_worktree.py::test_pipes_and_devices_are_refused_without_waiting",
            "reconciler/test_source_worktree.py::test_a_file_beyond_the_limit_is_refused",
        ),
    ),
    Row(26, "remote includes", _bad("remote include", "ssh include", "OCI include", "remote extends")),
    Row(
        27,
        "options that smuggle, are unknown, are there twice or bear identity",
        (
            f"{OPTIONS}test_an_argument_cannot_be_smuggled_in_a_value",
            f"{OPTIONS}test_a_misspelt_key_is_an_error_at_its_place_with_a_hint",
            f"{OPTIONS}test_a_key_given_twice_in_one_place_is_an_error_that_names_both_places",
            f"{OPTIONS}test_no_passthrough_key_bears_identity_or_leads_elsewhere",
            "reconciler/test_policy.py::test_nothing_is_made_beyond_what_the_operator_allows",
        ),
    ),
    Row(
        28,
        "an address of a cloud's API in an option",
        (f"{OPTIONS}test_no_passthrough_key_bears_identity_or_leads_elsewhere",),
        later="cloud drivers: AWS_ENDPOINT_URL and proxies of the process",
    ),
    Row(
        29,
        "references to evil, local and metadata hosts, with user names",
        (
            "drivers/test_reference.py::test_what_can_mean_nothing_or_harm_is_refused_in_a_sentence",
            "reconciler/test_policy.py::test_nothing_is_made_beyond_what_the_operator_allows",
            f"{STORE}pull.py::test_a_digest_pins_what_a_tag_has_left_behind",
        ),
    ),
    Row(
        30,
        "registries that lie",
        (
            f"{STORE}faults.py::test_a_redirect_to_where_nobody_should_be_sent_is_refused",
            f"{STORE}faults.py::test_a_public_host_that_names_a_private_one_is_found_out_when_it_is_resolved",
            f"{STORE}faults.py::test_credentials_are_not_forwarded_to_another_host",
            f"{STORE}faults.py::test_a_token_service_elsewhere_does_not_get_the_password",
            f"{STORE}faults.py::test_wrong_bytes_are_refused_and_nothing_stays",
            f"{STORE}faults.py::test_ten_terabytes_are_refused_before_the_first_byte",
            f"{STORE}faults.py::test_a_compressed_answer_is_refused",
            "drivers/test_reference.py::test_only_a_well_formed_digest_may_become_a_file_name",
        ),
    ),
    Row(
        31,
        "damaged and lying GGUF files",
        (
            "drivers/test_gguf.py::test_a_file_that_lies_is_refused",
            "drivers/test_gguf.py::test_a_damaged_file_is_a_header_or_a_value_error",
            "drivers/test_gguf.py::test_a_hundred_thousand_huge_strings_need_no_memory",
        ),
        later="a user and a sandbox of their own for model servers: infra/systemd has what the service itself gets",
    ),
    Row(
        32,
        "pickles, remote code",
        (f"{STORE}pull.py::test_what_cannot_be_served_is_rejected_and_leaves_nothing",),
        later="cloud drivers: images of vLLM",
    ),
    Row(33, "addresses from a platform", (f"{RENDER}test_url_that_could_be_read_as_something_else_is_never_written",)),
    Row(
        34,
        "values and names in environments",
        (
            f"{RENDER}test_model_id_that_could_be_read_as_something_else_is_never_written",
            f"{RENDER}test_env_lines_refuse_line_breaks_without_showing_the_value",
            f"{RENDER}test_variables_that_steer_programs_are_refused_before_the_model_is_ready",
            f"{RENDER}test_what_is_no_name_is_refused",
            "reconciler/test_desired.py::test_a_model_whose_name_no_environment_can_take_hurts_only_itself",
        ),
    ),
    Row(
        35,
        "links and strangers where we write",
        (
            f"{WRITE}test_links_directories_and_pipes_are_never_written_over",
            f"{WRITE}test_a_file_that_is_not_ours_is_left_alone",
        ),
    ),
    Row(36, "refs that are options", (f"{GIT}test_only_names_are_refs",)),
    Row(
        37,
        "addresses of remotes",
        (f"{GIT}test_nothing_of_a_hostile_repository_is_executed", f"{CANARIES}test_no_command_tells_a_secret"),
        later="webhook: nothing is fetched yet, somebody else keeps the checkout up to date",
    ),
    Row(
        38,
        "hostile configuration in .git",
        (
            f"{GIT}test_nothing_of_a_hostile_repository_is_executed",
            f"{GIT}test_replaced_objects_do_not_change_what_a_commit_says",
        ),
    ),
    Row(
        39,
        "submodules, filters, links",
        (f"{GIT}test_symbolic_links_and_submodules_are_refused", f"{GIT}test_reads_the_commit_and_not_the_work_tree"),
    ),
    Row(40, "webhook: signatures, sizes, slow bodies", later="webhook"),
    Row(41, "webhook: replay", later="webhook"),
    Row(42, "gateway: paths, headers, smuggling", later="gateway"),
    Row(43, "gateway: keys", later="gateway"),
    Row(44, "gateway: CORS, rebinding", later="gateway"),
    Row(
        45,
        "escapes in what a server said",
        (
            "reconciler/test_commands_read.py::test_what_a_server_said_cannot_steer_the_terminal",
            "reconciler/test_report.py::test_nothing_from_a_file_steers_the_terminal_or_makes_a_line",
        ),
        later="gateway: its status page",
    ),
    Row(
        46,
        "plans in comments",
        (
            "reconciler/test_report.py::test_nothing_from_the_repository_leaves_the_fence",
            "reconciler/test_report.py::test_markdown_of_a_huge_plan_still_fits_a_comment",
            "reconciler/test_report_github.py::test_text_cannot_begin_another_command",
        ),
    ),
    Row(47, "AWS configuration in the repository", later="cloud drivers"),
    Row(
        48,
        "Python files and settings of Python in the repository",
        (f"{REST}test_python_of_the_repository_is_not_imported",),
    ),
    Row(
        49,
        "somebody else's thing under our name or tags",
        (
            "drivers/contract.py::DriverContract.test_a_stranger_under_our_name_is_refused_and_left_alone",
            "drivers/contract.py::DriverContract.test_what_another_lineage_owns_is_not_listed",
        ),
        later="cloud drivers: tags that others can set",
    ),
    Row(50, "IAM: roles", later="cloud drivers"),
    Row(51, "metadata of GPU machines", later="cloud drivers"),
    Row(
        52,
        "docker.sock",
        ("reconciler/test_services.py::test_without_any_docker_command_nobody_uses_anything",),
    ),
    Row(
        53,
        "secrets at rest",
        (
            f"{CANARIES}test_the_service_writes_none_into_its_log_its_state_or_its_files",
            f"{CANARIES}test_a_models_key_is_in_its_private_files_and_nowhere_else",
            "state/test_sqlite_files.py::test_only_the_owner_can_read_any_of_it",
        ),
    ),
    Row(
        54,
        "core dumps, tracebacks",
        (
            "drivers/test_llamacpp_start.py::test_the_server_has_a_session_of_its_own_no_core_dumps_and_no_terminal",
            f"{CANARIES}test_no_command_tells_a_secret",
        ),
    ),
)

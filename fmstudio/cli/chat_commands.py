"""Commands about conversations and what they teach: chats, chats export, chats import, lessons."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from fmstudio.cli.output import print_json, print_table
from fmstudio.cli.session import open_project
from fmstudio.core.words import plural


def add_commands(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add this module's commands."""
    in_project = argparse.ArgumentParser(add_help=False, parents=[shared])
    in_project.add_argument("--project", metavar="DIR", default="", help="the project folder")

    chats = commands.add_parser("chats", parents=[in_project], help="list and search conversations; export, import")
    chats.add_argument(
        "--search", default="", metavar="WORDS", help='all words must be there; "in quotes" they stay together'
    )
    chats.set_defaults(handler=list_chats)
    actions = chats.add_subparsers(dest="action", metavar="ACTION")

    export = actions.add_parser("export", parents=[in_project], help="write conversations to a file")
    export.add_argument("file", metavar="FILE", help="its suffix says how: .md, .html, .jsonl or .parquet")
    export.add_argument("ids", nargs="*", metavar="CHAT", help="ids of conversations; none = all")
    export.set_defaults(handler=export_chats)

    bring = actions.add_parser("import", parents=[in_project], help="read exports of other programs")
    bring.add_argument("files", nargs="+", metavar="FILE", help="of ChatGPT, Claude, LM Studio, Jan or Open WebUI")
    bring.add_argument("--folder", default="", metavar="NAME", help="folder of the conversations")
    bring.set_defaults(handler=import_chats)

    lessons = commands.add_parser("lessons", parents=[in_project], help="what the chats teach, as datasets")
    lessons.set_defaults(handler=show_lessons)


def list_chats(arguments: argparse.Namespace) -> None:
    """Conversations, or those a search finds, each with the place."""
    with open_project(arguments.project) as project:
        if arguments.search:
            found = project.chats.found(arguments.search)
            if arguments.json:
                print_json(found)
                return
            rows = [(f.conversation.id, f.conversation.title, f.hits, f.snippet) for f in found]
            print_table(["id", "title", "hits", "text"], rows)
            return
        conversations = project.chats.conversations()
    if arguments.json:
        print_json(conversations)
        return
    print_table(
        ["id", "title", "folder", "changed"],
        [(c.id, c.title, c.folder, time.strftime("%Y-%m-%d %H:%M", time.localtime(c.updated))) for c in conversations],
    )


def export_chats(arguments: argparse.Namespace) -> None:
    """Write conversations to a file."""
    from fmstudio.project import chat_export

    target = Path(arguments.file).absolute()
    with open_project(arguments.project) as project:
        count = chat_export.export_chats(project.chats, target, arguments.ids)
    if arguments.json:
        print_json({"file": target, "conversations": count})
    else:
        print(f"{count} conversations were written to {target}.")


def import_chats(arguments: argparse.Namespace) -> None:
    """Read exports of other programs."""
    from fmstudio.project import chat_import

    with open_project(arguments.project) as project:
        _, came = chat_import.import_chats(project.chats, [Path(name) for name in arguments.files], arguments.folder)
        project.lessons.sync_all()
    if arguments.json:
        print_json(came)
        return
    print(
        f"{plural(came.conversations, 'conversation')} with {plural(came.messages, 'message')} came in from {', '.join(came.sources)}."
    )
    if came.known:
        print(f"{came.known} were here already.")
    for note in came.notes:
        print(note)


def show_lessons(arguments: argparse.Namespace) -> None:
    """Bring the lessons datasets up to date and say how much they hold."""
    with open_project(arguments.project) as project:
        project.lessons.sync_all()
        count = project.lessons.count()
        names = {one: project.datasets.get(one).name for one in (count.sft_id, count.preference_id) if one}
    if arguments.json:
        print_json(count)
        return
    rows = [
        (names.get(count.sft_id, ""), "answers to learn", count.sft),
        (names.get(count.preference_id, ""), "preferences", count.preferences),
    ]
    print_table(["dataset", "holds", "rows"], rows)

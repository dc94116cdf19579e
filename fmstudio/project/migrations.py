"""The catalogue's schema, as numbered steps that are each applied once. Never edit a step that has shipped."""

from __future__ import annotations

import duckdb

from fmstudio.api.errors import UserError

STEPS: list[str] = [
    # 1: datasets, versions, side columns, operations, models, runs, chats
    """
    CREATE SEQUENCE operation_ids;
    CREATE TABLE datasets (
        id VARCHAR, name VARCHAR, kind VARCHAR, current_version INTEGER, is_deleted BOOLEAN, created DOUBLE,
        source JSON);
    CREATE TABLE versions (
        dataset_id VARCHAR, number INTEGER, parent INTEGER, rows BIGINT, dropped BIGINT, rejected BIGINT,
        bytes BIGINT, columns JSON, operation VARCHAR, statistics JSON, job_id VARCHAR, created DOUBLE);
    CREATE TABLE side_columns (
        dataset_id VARCHAR, version INTEGER, name VARCHAR, type VARCHAR, folder VARCHAR, facts JSON,
        job_id VARCHAR, created DOUBLE);
    CREATE TABLE operations (
        id BIGINT DEFAULT nextval('operation_ids'), kind VARCHAR, dataset_id VARCHAR, version_before INTEGER,
        version_after INTEGER, title VARCHAR, params JSON, job_id VARCHAR, state VARCHAR, created DOUBLE);
    CREATE TABLE models (
        id VARCHAR, name VARCHAR, kind VARCHAR, format VARCHAR, path VARCHAR, bytes BIGINT, facts JSON,
        base_id VARCHAR, dataset_id VARCHAR, dataset_version INTEGER, job_id VARCHAR, metrics JSON,
        is_removed BOOLEAN, created DOUBLE);
    CREATE TABLE runs (
        job_id VARCHAR, name VARCHAR, dataset_id VARCHAR, dataset_version INTEGER, base_id VARCHAR, run JSON,
        metrics JSON, created DOUBLE);
    CREATE TABLE conversations (
        id VARCHAR, title VARCHAR, model_id VARCHAR, settings JSON, is_deleted BOOLEAN, created DOUBLE, updated DOUBLE);
    CREATE TABLE messages (
        id VARCHAR, conversation_id VARCHAR, parent_id VARCHAR, role VARCHAR, content VARCHAR, facts JSON,
        created DOUBLE);
    CREATE TABLE ratings (
        message_id VARCHAR, conversation_id VARCHAR, rating INTEGER, correction VARCHAR, context JSON, created DOUBLE);
    CREATE TABLE published (job_id VARCHAR, created DOUBLE);
    """,
    # 2: edits that wait to be committed, named versions, exports, the SQL console's history, remembered mappings
    """
    ALTER TABLE versions ADD COLUMN name VARCHAR DEFAULT '';
    CREATE TABLE edits (
        operation_id BIGINT, dataset_id VARCHAR, version INTEGER, row_id BIGINT, kind VARCHAR, column_name VARCHAR,
        value JSON, before JSON);
    CREATE SEQUENCE undo_order;
    ALTER TABLE operations ADD COLUMN undone BIGINT;
    CREATE TABLE exports (
        id VARCHAR, dataset_id VARCHAR, version INTEGER, exporter VARCHAR, path VARCHAR, rows BIGINT, bytes BIGINT,
        sha256 VARCHAR, job_id VARCHAR, created DOUBLE);
    CREATE TABLE queries (
        sql VARCHAR, created DOUBLE, seconds DOUBLE, rows BIGINT, error VARCHAR);
    CREATE TABLE mappings (
        shape_key VARCHAR, importer VARCHAR, mapping JSON, importer_params JSON, created DOUBLE);
    """,
    # 3: what was collected as garbage
    """
    CREATE TABLE collections (id VARCHAR, created DOUBLE, bytes BIGINT, items JSON);
    """,
    # 4: chats in folders, pinned and searchable; deleted turns, chosen drafts, presets, tokens, lessons
    """
    ALTER TABLE conversations ADD COLUMN folder VARCHAR DEFAULT '';
    ALTER TABLE conversations ADD COLUMN is_pinned BOOLEAN DEFAULT false;
    ALTER TABLE conversations ADD COLUMN titled_by VARCHAR DEFAULT '';
    ALTER TABLE conversations ADD COLUMN shown VARCHAR DEFAULT '';
    ALTER TABLE messages ADD COLUMN deleted_by VARCHAR DEFAULT '';
    ALTER TABLE messages ADD COLUMN folded VARCHAR DEFAULT '';
    UPDATE messages SET folded = lower(strip_accents(content));
    CREATE TABLE chat_folders (name VARCHAR, created DOUBLE);
    CREATE TABLE chat_choices (
        id VARCHAR, conversation_id VARCHAR, kind VARCHAR, chosen VARCHAR, rejected JSON, is_withdrawn BOOLEAN,
        created DOUBLE);
    CREATE TABLE chat_presets (
        id VARCHAR, name VARCHAR, version INTEGER, settings JSON, note VARCHAR, is_deleted BOOLEAN, created DOUBLE);
    CREATE TABLE chat_tokens (message_id VARCHAR, tokens JSON, created DOUBLE);
    CREATE TABLE lesson_sets (view VARCHAR, dataset_id VARCHAR, created DOUBLE);
    CREATE TABLE lessons (
        key VARCHAR, view VARCHAR, dataset_id VARCHAR, conversation_id VARCHAR, hash VARCHAR, updated DOUBLE);
    """,
    # 5: which words stand in which messages (see `chat_search`)
    """
    CREATE SEQUENCE word_numbers;
    ALTER TABLE messages ADD COLUMN number BIGINT;
    UPDATE messages SET number = rowid + 1;
    CREATE TABLE chat_words (id BIGINT, word VARCHAR);
    CREATE TABLE chat_places (word BIGINT, message BIGINT);
    INSERT INTO chat_words SELECT nextval('word_numbers'), word FROM (
        SELECT DISTINCT unnest(string_split(translate(folded, chr(9) || chr(10) || chr(13), '   '), ' ')) AS word
        FROM messages) WHERE word <> '';
    INSERT INTO chat_places SELECT w.id, m.number FROM (
        SELECT number, unnest(list_distinct(string_split(translate(folded, chr(9) || chr(10) || chr(13), '   '), ' ')))
        AS word FROM messages) m JOIN chat_words w ON w.word = m.word ORDER BY w.id, m.number;
    """,
]


def migrate(connection: duckdb.DuckDBPyConnection) -> None:
    """Bring a catalogue up to date, each step in a transaction of its own.

    Raises:
        UserError: It was written by a newer FM Studio.
    """
    connection.execute("CREATE TABLE IF NOT EXISTS schema_version (number INTEGER)")
    row = connection.execute("SELECT coalesce(max(number), 0) FROM schema_version").fetchone()
    have = int(row[0]) if row else 0
    if have > len(STEPS):
        raise UserError(
            f"This project was last opened by a newer FM Studio (schema {have}; this one knows {len(STEPS)}).",
            remedy="Update FM Studio, then open it again. Nothing was changed.",
        )
    for number, sql in enumerate(STEPS[have:], start=have + 1):
        connection.begin()
        connection.execute(sql)
        connection.execute("INSERT INTO schema_version VALUES (?)", [number])
        connection.commit()

"""The schema of the store, as named steps. A step that was released is never edited; a change is a new step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyzer.stores.conversion import convert_payloads
from analyzer.stores.migrating import Steps

if TYPE_CHECKING:
    from sqlite_utils import Database

MIGRATIONS = Steps()

TRAJECTORIES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE payloads (id INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, size INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE threads (id INTEGER PRIMARY KEY, prev INTEGER NOT NULL, payload INTEGER NOT NULL, UNIQUE (prev, payload));
CREATE TABLE trajectories (
    id INTEGER PRIMARY KEY, trace_id TEXT NOT NULL UNIQUE,
    agent TEXT NOT NULL, version TEXT, model TEXT, start_ns INTEGER, end_ns INTEGER,
    complete INTEGER NOT NULL, outcome TEXT NOT NULL,
    spans INTEGER NOT NULL, steps INTEGER NOT NULL, inferences INTEGER NOT NULL, tool_calls INTEGER NOT NULL,
    errors INTEGER NOT NULL, tool_errors INTEGER NOT NULL, retries INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL, cache_write_tokens INTEGER NOT NULL,
    cost_usd REAL, cost_bin INTEGER, unpriced INTEGER NOT NULL, repeats INTEGER NOT NULL,
    prompt TEXT, tools TEXT, conversation_id TEXT, user_id TEXT
);
CREATE INDEX trajectories_by_agent ON trajectories (agent, end_ns);
CREATE INDEX trajectories_by_end ON trajectories (end_ns, agent, complete, outcome, cost_bin, cost_usd);
-- Spans of one trajectory lie together on disk: they are read together.
CREATE TABLE spans (
    trajectory INTEGER NOT NULL, span_id TEXT NOT NULL, parent_id TEXT,
    name TEXT NOT NULL, operation TEXT NOT NULL, start_ns INTEGER, end_ns INTEGER,
    status TEXT NOT NULL, status_message TEXT NOT NULL, error TEXT, error_type TEXT NOT NULL,
    agent TEXT, agent_version TEXT, service TEXT, provider TEXT, model TEXT,
    tool TEXT, tool_call_id TEXT, response_id TEXT,
    input_tokens INTEGER, output_tokens INTEGER, cache_read_tokens INTEGER, cache_write_tokens INTEGER,
    cache_write_1h_tokens INTEGER, reasoning_tokens INTEGER, cost_usd REAL,
    finish TEXT, attempt INTEGER NOT NULL, conversation_id TEXT, user_id TEXT,
    prompt_name TEXT, prompt_version TEXT, outcome TEXT, scope TEXT NOT NULL,
    system_hash TEXT, tools_hash TEXT,
    input INTEGER, output INTEGER, system INTEGER, tool_definitions INTEGER, resource INTEGER, extra BLOB,
    repeated INTEGER NOT NULL DEFAULT 0, digest INTEGER NOT NULL,
    PRIMARY KEY (trajectory, span_id)
) WITHOUT ROWID;
-- Tool calls per tool and tick, without touching the wide rows.
CREATE INDEX spans_of_tools ON spans (end_ns, tool, trajectory, status)
    WHERE operation = 'execute_tool' AND repeated = 0;
"""

INCIDENTS = """
CREATE TABLE incidents (
    id TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, state TEXT NOT NULL, agent TEXT,
    opened_at TEXT NOT NULL, last_seen_at TEXT NOT NULL, run TEXT NOT NULL, document TEXT NOT NULL
);
CREATE INDEX incidents_by_state ON incidents (state, opened_at);
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY, incident TEXT NOT NULL REFERENCES incidents (id), route TEXT NOT NULL,
    reason TEXT NOT NULL, at TEXT NOT NULL, state TEXT NOT NULL, severity TEXT NOT NULL, observed REAL NOT NULL
);
CREATE INDEX deliveries_by_incident ON deliveries (incident, route, id);
CREATE TABLE reports (
    id INTEGER PRIMARY KEY, run TEXT NOT NULL UNIQUE, at TEXT NOT NULL, document TEXT NOT NULL, markdown TEXT NOT NULL
);
"""

BLOCKS = """
CREATE TABLE blocks (id INTEGER PRIMARY KEY, size INTEGER NOT NULL, sizes BLOB NOT NULL, body BLOB NOT NULL);
-- Which trajectories have text in a block: the way from a found text back to where it stands.
CREATE TABLE uses (block INTEGER NOT NULL, trajectory INTEGER NOT NULL, PRIMARY KEY (block, trajectory)) WITHOUT ROWID;
-- Keyed hash of a text -> payload, of the youngest texts: an index of all would grow with the store and slow it down.
CREATE TABLE recent_0 (hash INTEGER PRIMARY KEY, payload INTEGER NOT NULL);
CREATE TABLE recent_1 (hash INTEGER PRIMARY KEY, payload INTEGER NOT NULL);
-- One row of numbers that the writers of all processes share.
CREATE TABLE counters (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    floor_block INTEGER NOT NULL, floor_thread INTEGER NOT NULL,
    young INTEGER NOT NULL, young_block INTEGER NOT NULL
);
INSERT INTO counters VALUES (1, 1, 1, 0, 1);
"""

ROLLUPS = """
ALTER TABLE spans ADD COLUMN parameters TEXT;
ALTER TABLE spans ADD COLUMN sdk TEXT;
ALTER TABLE spans ADD COLUMN task TEXT;
ALTER TABLE spans ADD COLUMN choices TEXT;
ALTER TABLE trajectories ADD COLUMN truncated INTEGER NOT NULL DEFAULT 0;
ALTER TABLE trajectories ADD COLUMN judged INTEGER NOT NULL DEFAULT 0;
ALTER TABLE trajectories ADD COLUMN gap_s REAL;
ALTER TABLE trajectories ADD COLUMN task TEXT;
ALTER TABLE trajectories ADD COLUMN parameters TEXT;
ALTER TABLE trajectories ADD COLUMN sdk TEXT;
CREATE INDEX trajectories_by_start ON trajectories (start_ns, agent);
-- Which tools stand in which definitions, by their hash.
CREATE TABLE offers (tools TEXT PRIMARY KEY, names BLOB NOT NULL) WITHOUT ROWID;
-- Hours since 1970 whose counts do not hold any more; see `rollups`.
CREATE TABLE stale_hours (hour INTEGER PRIMARY KEY);
CREATE TABLE rollups (
    day INTEGER NOT NULL, agent TEXT NOT NULL, tool TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (day, agent, tool)
) WITHOUT ROWID;
CREATE TABLE sightings (
    day INTEGER NOT NULL, agent TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (day, agent)
) WITHOUT ROWID;
CREATE TABLE choices (
    day INTEGER NOT NULL, agent TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (day, agent)
) WITHOUT ROWID;
UPDATE trajectories SET
    truncated = (SELECT COUNT(*) FROM spans WHERE trajectory = trajectories.id AND NOT repeated
        AND operation IN ('chat', 'embeddings') AND (finish = 'length' OR error = 'context_length')),
    judged = EXISTS (SELECT 1 FROM spans WHERE trajectory = trajectories.id AND outcome IS NOT NULL);
UPDATE trajectories SET gap_s = gap FROM (
    SELECT trajectory, MAX(MAX(0, start_ns - latest)) / 1e9 AS gap FROM (
        SELECT trajectory, start_ns, MAX(end_ns) OVER (
            PARTITION BY trajectory ORDER BY start_ns, end_ns DESC, span_id
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS latest FROM spans
        WHERE operation IN ('chat', 'execute_tool') AND NOT repeated AND start_ns IS NOT NULL AND end_ns IS NOT NULL
    ) WHERE latest IS NOT NULL GROUP BY trajectory
) AS pauses WHERE pauses.trajectory = trajectories.id;
INSERT INTO stale_hours
    SELECT start_ns / 3600000000000 FROM trajectories WHERE start_ns IS NOT NULL
    UNION SELECT end_ns / 3600000000000 FROM trajectories WHERE end_ns IS NOT NULL
    UNION SELECT end_ns / 3600000000000 FROM spans WHERE operation = 'execute_tool' AND end_ns IS NOT NULL;
"""

LEDGER = """
-- One row a call of the model: its worst case, written before it, and what it used, NULL until that is known.
-- USD in billionths; NULL where the model has no known price.
CREATE TABLE spending (
    id INTEGER PRIMARY KEY, day TEXT NOT NULL, run TEXT NOT NULL, about TEXT NOT NULL, at TEXT NOT NULL,
    most_tokens INTEGER NOT NULL, most_usd INTEGER, tokens INTEGER, usd INTEGER
);
CREATE INDEX spending_by_day ON spending (day);
CREATE INDEX spending_by_run ON spending (run, about);
-- The log of what the analyst did. All that counts stands in `entry`, which its hash covers; see `types.audit`.
CREATE TABLE audit (
    number INTEGER PRIMARY KEY, entry TEXT NOT NULL, hash TEXT NOT NULL,
    run TEXT GENERATED ALWAYS AS (json_extract(entry, '$.run')) VIRTUAL,
    about TEXT GENERATED ALWAYS AS (json_extract(entry, '$.about')) VIRTUAL
);
CREATE INDEX audit_by_run ON audit (run);
CREATE INDEX audit_by_about ON audit (about);
-- Texts that entries refer to, by the SHA-256 of what they are unpacked.
CREATE TABLE audit_texts (hash TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE audit_head (one INTEGER PRIMARY KEY CHECK (one = 1), entries INTEGER NOT NULL, hash TEXT NOT NULL);
INSERT INTO audit_head VALUES (1, 0, '');
CREATE TRIGGER audit_follows BEFORE INSERT ON audit WHEN NEW.number IS NOT (SELECT entries + 1 FROM audit_head)
    BEGIN SELECT RAISE(ABORT, 'the audit log only grows at its end'); END;
CREATE TRIGGER audit_grows AFTER INSERT ON audit
    BEGIN UPDATE audit_head SET entries = NEW.number, hash = NEW.hash; END;
CREATE TRIGGER audit_stays BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_keeps BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_texts_stay BEFORE UPDATE ON audit_texts
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_texts_keep BEFORE DELETE ON audit_texts
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
"""


def _execute(db: Database, script: str) -> None:
    """Run statements one by one: `executescript` would commit the migration's transaction."""
    for statement in script.split(";\n"):
        if statement.strip():
            db.execute(statement)


@MIGRATIONS()
def m001_trajectories(db: Database) -> None:
    """Create the tables of trajectories.

    A chat prompt repeats the whole history at every step, so a conversation is kept as a chain: each node of
    `threads` names the node before it and one payload. Two steps that share a history share its nodes, and a step
    adds only what is new in it. `prev` is 0 where a JSON array begins and -1 for a text that is no array.
    """
    _execute(db, TRAJECTORIES)


@MIGRATIONS()
def m002_incidents(db: Database) -> None:
    """Create the analyst's own memory: incidents, what was said about them, and reports."""
    _execute(db, INCIDENTS)


@MIGRATIONS()
def m003_blocks(db: Database) -> None:
    """Keep texts in blocks of neighbours instead of one by one: a third of the disk and of the time.

    `payload` columns hold `block << 10 | slot` from here on, and the text columns of `spans` say where one text
    stands without a thread of one node (see `payloads`). Every body is packed anew, so a large store takes minutes.
    """
    _execute(db, BLOCKS)
    convert_payloads(db.conn)


@MIGRATIONS()
def m004_tool_costs(db: Database) -> None:
    """Keep what a trajectory's tools cost beside what its models cost: lists read no spans."""
    db.execute("ALTER TABLE trajectories ADD COLUMN tool_cost_usd REAL")
    db.execute(
        "UPDATE trajectories SET tool_cost_usd = (SELECT SUM(cost_usd) FROM spans"
        " WHERE trajectory = trajectories.id AND operation = 'execute_tool' AND repeated = 0)"
    )


@MIGRATIONS()
def m005_rollups(db: Database) -> None:
    """Add what the detectors count by, and the tables of the counts; every hour waits to be counted once.

    What is read from texts when a span arrives (the kind of task, choices) stays unknown of spans that came before.
    """
    _execute(db, ROLLUPS)


@MIGRATIONS()
def m006_told(db: Database) -> None:
    """Add the changes that someone told us of; no agent means every agent."""
    _execute(
        db,
        "CREATE TABLE told ("
        "id INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL, agent TEXT, what TEXT NOT NULL, value TEXT)",
    )


@MIGRATIONS()
def m007_ledger(db: Database) -> None:
    """Add what the analyst spent on its model, and the log of what it did."""
    _execute(db, LEDGER)


@MIGRATIONS()
def m008_words(db: Database) -> None:
    """Keep what humans say of incidents, in order, and with each incident the last word that its form has heard."""
    _execute(
        db,
        "CREATE TABLE words ("
        "id INTEGER PRIMARY KEY, incident TEXT NOT NULL REFERENCES incidents (id), said TEXT NOT NULL,"
        " at TEXT NOT NULL, who TEXT NOT NULL, reason TEXT NOT NULL, until TEXT);\n"
        "CREATE INDEX words_of_incidents ON words (incident, id);\n"
        "CREATE TRIGGER words_stay BEFORE UPDATE ON words"
        " BEGIN SELECT RAISE(ABORT, 'words stay as they were said'); END",
    )
    db.execute("ALTER TABLE incidents ADD COLUMN heard INTEGER NOT NULL DEFAULT 0")


@MIGRATIONS()
def m009_steered(db: Database) -> None:
    """Add which trajectories hold an order to the model in what a tool returned; of older ones it stays unknown."""
    _execute(db, "CREATE TABLE steered (trajectory INTEGER PRIMARY KEY)")


@MIGRATIONS()
def m010_threads(db: Database) -> None:
    """Keep which message of a chat began the thread of an incident: what comes later is said there."""
    _execute(
        db,
        "CREATE TABLE chat_threads ("
        "incident TEXT NOT NULL REFERENCES incidents (id), route TEXT NOT NULL, channel TEXT NOT NULL,"
        " channel_id TEXT NOT NULL, ts TEXT NOT NULL, said TEXT NOT NULL, PRIMARY KEY (incident, route)) WITHOUT ROWID",
    )


@MIGRATIONS()
def m011_kept(db: Database) -> None:
    """Refuse to delete a word, or the count that shows whether the log's end was cut off."""
    _execute(
        db,
        "CREATE TRIGGER words_keep BEFORE DELETE ON words"
        " BEGIN SELECT RAISE(ABORT, 'words stay as they were said'); END;\n"
        "CREATE TRIGGER audit_head_keeps BEFORE DELETE ON audit_head"
        " BEGIN SELECT RAISE(ABORT, 'the audit log keeps its own count'); END",
    )


@MIGRATIONS()
def m012_figures(db: Database) -> None:
    """Keep with what was said of which kind its figure was and what each agent had; of older messages nobody knows."""
    db.execute("ALTER TABLE deliveries ADD COLUMN kind TEXT")
    db.execute("ALTER TABLE deliveries ADD COLUMN figures TEXT")


@MIGRATIONS()
def m013_alerts(db: Database) -> None:
    """Keep alerts that came in by Alertmanager's webhook: each firing once, with what a run had to say of it.

    `settled` is 1 once its end was answered.
    """
    _execute(
        db,
        "CREATE TABLE alerts ("
        "id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL, starts_at TEXT NOT NULL, ends_at TEXT, name TEXT NOT NULL,"
        " agent TEXT, summary TEXT NOT NULL, url TEXT NOT NULL, alertmanager_url TEXT NOT NULL,"
        " received_at TEXT NOT NULL, heard_at TEXT NOT NULL, answered_at TEXT, incidents TEXT NOT NULL DEFAULT '[]',"
        " said TEXT NOT NULL DEFAULT '', settled INTEGER NOT NULL DEFAULT 0, UNIQUE (fingerprint, starts_at))",
    )


@MIGRATIONS()
def m014_measures(db: Database) -> None:
    """Add the metrics, and which trajectories are to be counted and were; what is stored already is history."""
    _execute(
        db,
        "CREATE TABLE measures ("
        "name TEXT NOT NULL, labels TEXT NOT NULL, value REAL NOT NULL, touched_s REAL NOT NULL,"
        " trace_id TEXT, exemplar REAL, exemplar_s REAL, PRIMARY KEY (name, labels)) WITHOUT ROWID;\n"
        "CREATE TABLE uncounted (trajectory INTEGER PRIMARY KEY, touched_s INTEGER NOT NULL);\n"
        "CREATE TABLE counted (trajectory INTEGER PRIMARY KEY, began_s INTEGER NOT NULL, body BLOB NOT NULL)",
    )


@MIGRATIONS()
def m015_leases(db: Database) -> None:
    """Keep who has the turn to run, as one row that its holder renews."""
    _execute(
        db,
        "CREATE TABLE leases ("
        "name TEXT PRIMARY KEY, token TEXT NOT NULL, what TEXT NOT NULL, host TEXT NOT NULL, pid INTEGER NOT NULL,"
        " place TEXT NOT NULL, started TEXT NOT NULL, since TEXT NOT NULL, beats INTEGER NOT NULL) WITHOUT ROWID",
    )


@MIGRATIONS()
def m016_registered(db: Database) -> None:
    """Add what somebody said of agents, and an order of the counts in which the inventory finds agents and tools."""
    _execute(
        db,
        "CREATE TABLE registered ("
        "agent TEXT PRIMARY KEY, owner TEXT NOT NULL, contact TEXT NOT NULL, description TEXT NOT NULL,"
        " at TEXT NOT NULL) WITHOUT ROWID;\n"
        "CREATE INDEX rollups_by_subject ON rollups (agent, tool, day)",
    )


@MIGRATIONS()
def m017_bought(db: Database) -> None:
    """Have every hour counted once more: what tokens cost is counted beside the tokens from here on."""
    _execute(
        db,
        "INSERT OR IGNORE INTO stale_hours"
        " SELECT end_ns / 3600000000000 FROM trajectories WHERE end_ns IS NOT NULL AND cost_usd IS NOT NULL",
    )


@MIGRATIONS()
def m018_own_runs(db: Database) -> None:
    """Have the hours of the analyst's own runs counted once more: its runs are counted like any agent's from here on.

    Those that an incident has kept from being deleted are left out, and the first hour of the others: the fleet's
    trajectories of these hours may be gone, and their counts are all that is left of them.
    """
    _execute(
        db,
        "INSERT OR IGNORE INTO stale_hours SELECT hour FROM ("
        " SELECT DISTINCT end_ns / 3600000000000 AS hour FROM trajectories t WHERE agent = 'analyzer' AND end_ns > 0"
        " AND NOT EXISTS (SELECT 1 FROM incidents i WHERE i.agent = 'analyzer' AND INSTR(i.document, t.trace_id))"
        " ORDER BY hour LIMIT -1 OFFSET 1)",
    )


@MIGRATIONS()
def m019_followed(db: Database) -> None:
    """Add how much of a database that others write was seen, and what a call was given where its text lies there."""
    _execute(
        db,
        "CREATE TABLE followed ("
        "place TEXT NOT NULL, bucket INTEGER NOT NULL, rows INTEGER NOT NULL, PRIMARY KEY (place, bucket))"
        " WITHOUT ROWID;\n"
        "ALTER TABLE spans ADD COLUMN input_hash INTEGER",
    )


@MIGRATIONS()
def m020_followed_times(db: Database) -> None:
    """Add which rows of a database that others write were seen, told by the sum of their times."""
    _execute(db, "ALTER TABLE followed ADD COLUMN times INTEGER")


@MIGRATIONS()
def m021_quiet(db: Database) -> None:
    """Add which trajectories repeat nothing, and by which program that was said."""
    _execute(db, "CREATE TABLE quiet (trajectory INTEGER PRIMARY KEY, rules INTEGER NOT NULL)")


@MIGRATIONS()
def m022_looked(db: Database) -> None:
    """Keep what was seen in trajectories that repeat something, too, instead of scans by what they saw.

    The table of those that do not is left, empty: a receiver of the release before that goes on writes to it.
    """
    _execute(
        db,
        "DELETE FROM quiet;\n"
        "CREATE TABLE looked (trajectory INTEGER PRIMARY KEY, rules INTEGER NOT NULL, seen TEXT);\n"
        "DELETE FROM meta WHERE name = 'remembered loop scans'",
    )

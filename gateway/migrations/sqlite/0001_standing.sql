-- What is remembered of a node that serves these weights: nothing of what it was asked.
CREATE TABLE standing (
    node            BLOB    NOT NULL CHECK (length(node) = 32),
    digest          TEXT    NOT NULL,
    record          TEXT    NOT NULL CHECK (json_valid(record)),
    updated_seconds INTEGER NOT NULL,
    PRIMARY KEY (node, digest)
) STRICT, WITHOUT ROWID;

CREATE INDEX standing_by_age ON standing (updated_seconds);

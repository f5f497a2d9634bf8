-- Rounds that the operator and the client both agreed to keep, prompts and answers included.
-- Without consent this table stays empty.
CREATE TABLE rounds (
    -- Never used twice, so that "the newest so many" is a comparison.
    number        INTEGER PRIMARY KEY AUTOINCREMENT,
    ended_seconds INTEGER NOT NULL,
    body          TEXT    NOT NULL CHECK (json_valid(body))
) STRICT;

CREATE INDEX rounds_by_age ON rounds (ended_seconds);

-- Keeps when a push was last accepted, and when one was last accepted for another user than that.

INSERT INTO firebase_projects AS f (id, accepted_at, accepted_user_id, another_accepted_at)
VALUES (%(project)s, statement_timestamp(), %(user_id)s,
        CASE WHEN %(another)s::uuid IS NOT NULL THEN statement_timestamp() END)
ON CONFLICT (id) DO UPDATE
SET accepted_at = excluded.accepted_at,
    accepted_user_id = excluded.accepted_user_id,
    another_accepted_at = greatest(excluded.another_accepted_at, CASE
        WHEN f.accepted_user_id = excluded.accepted_user_id THEN f.another_accepted_at ELSE f.accepted_at
    END)

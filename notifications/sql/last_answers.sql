-- FCM's last answer to each user, for the users reminded last, newest first, and whether it was a refusal. A
-- user with several devices was refused if none of them accepted the push. Test pushes do not count.

WITH recent AS MATERIALIZED (
    SELECT notification_id, outcome, error_code, answered_at
    FROM push_deliveries WHERE id >= %(since)s ORDER BY id DESC LIMIT %(deliveries)s
), pushes AS (
    SELECT n.user_id, max(r.answered_at) AS answered_at, bool_or(r.outcome = 'accepted') AS is_accepted,
           bool_or(r.error_code = ANY (%(refusals)s)) AS is_refused
    FROM recent r JOIN notification_logs n ON n.id = r.notification_id AND n.kind NOT IN ('test', 'withdraw')
    GROUP BY n.user_id, n.tag, n.kind, n.step
), last AS (
    SELECT DISTINCT ON (user_id) user_id, answered_at, NOT is_accepted AS is_refused
    FROM pushes WHERE is_accepted OR is_refused ORDER BY user_id, answered_at DESC
)
SELECT user_id::text, is_refused FROM last ORDER BY answered_at DESC LIMIT %(users)s

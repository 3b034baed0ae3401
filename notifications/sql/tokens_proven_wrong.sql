-- Of the tokens that FCM refused again, those for which another user's push was accepted since the first
-- refusal: the project is right, and the token belongs to another one.

SELECT t.id::text
FROM device_tokens t
JOIN firebase_projects f ON f.id = %(project)s
WHERE t.id = ANY (%(ids)s::uuid[])
  AND t.suspect_since < CASE WHEN f.accepted_user_id = t.user_id THEN f.another_accepted_at ELSE f.accepted_at END

# Makes each owner named as an argument, with the password in PASSWORD_<owner>, and the database of the same name.
# Safe to repeat. psql finds server and administrator in its own variables (PGHOST, PGUSER, PGPASSWORD, ...).
for owner in "$@"; do
    eval "password=\$PASSWORD_$owner"
    export password
    psql --no-psqlrc --quiet --tuples-only --set ON_ERROR_STOP=1 --set owner="$owner" <<'SQL'
\getenv password password
-- Kubernetes makes one dollar sign of two in a container's command, so the body has a tag.
-- Statements with a password are kept out of the server's log, where the administrator may do so.
DO $body$
BEGIN
    PERFORM set_config('log_min_error_statement', 'panic', false), set_config('log_min_duration_statement', '-1', false);
EXCEPTION WHEN insufficient_privilege THEN NULL;
END $body$;
SELECT format('CREATE ROLE %I LOGIN', :'owner')
    WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'owner') \gexec
ALTER ROLE :"owner" PASSWORD :'password';
-- An administrator that is no superuser gives databases to those alone whose role it may take.
SELECT format('GRANT %I TO CURRENT_USER', :'owner')
    WHERE NOT pg_has_role(CURRENT_USER, :'owner', 'SET') \gexec
SELECT format('CREATE DATABASE %I OWNER %I', :'owner', :'owner')
    WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'owner') \gexec
SELECT format('ALTER DATABASE %I OWNER TO %I', :'owner', :'owner')
    WHERE EXISTS (SELECT FROM pg_database WHERE datname = :'owner' AND pg_get_userbyid(datdba) <> :'owner') \gexec
SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', :'owner') \gexec
SQL
    echo "database $owner and its owner are there"
done

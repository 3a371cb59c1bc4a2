#!/bin/sh
# Run once by the postgres image on an empty volume: a role and a database for each user of it.
set -eu
make_database() {
  psql --set ON_ERROR_STOP=1 --set name="$1" --set role="$2" --set password="$3" --username postgres <<'SQL'
create role :"role" login password :'password';
create database :"name" owner :"role";
SQL
}
make_database guidealign guidealign_owner "$GUIDEALIGN_DB_PASSWORD"
make_database airflow airflow "$AIRFLOW_DB_PASSWORD"
make_database mlflow mlflow "$MLFLOW_DB_PASSWORD"
# The migrations make the roles that people get their rights from.
psql --set ON_ERROR_STOP=1 --username postgres --command "alter role guidealign_owner createrole"
psql --set ON_ERROR_STOP=1 --username postgres --dbname guidealign --command "create extension vector"

-- What a foreign key would promise, checked once a statement: a key's own check, row by row,
-- takes longer than all the rest of a bulk load. Neither categories nor guidelines ever go.
create or replace function core.guard_categories() returns trigger language plpgsql set search_path = core, pg_temp as $$
declare
  unknown text;
begin
  select a.category into unknown from added a
   where not exists (select from risk_categories c where c.name = a.category) limit 1;
  if found then
    raise exception 'there is no risk category %', unknown using errcode = 'foreign_key_violation';
  end if;
  return null;
end $$;
comment on function core.guard_categories() is 'Holds that every guideline has a known category.';
create or replace trigger guard_categories after insert on core.guidelines
  referencing new table as added
  for each statement execute function core.guard_categories();

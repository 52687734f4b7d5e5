-- The doctor's list of what to look at.
-- Invariant: a check is a row here and a function private.check_<name>(now) that finds what is wrong; a domain adds its own.
-- Not here: how the work that runs by itself is getting on (the pulse, which one check reads), and what only the service's side knows:
-- its settings, the provider's endpoints, other clocks (coach_os.doctor).

create type private.found as (org_id uuid, subject text, detail text);
comment on type private.found is 'One thing that is wrong: whose it is (null: the platform''s), the id or name of it, and what else helps, never a person''s words.';

create table private.doctor_checks (
  name text primary key,
  severity text not null,
  meaning text not null,
  fix text not null,
  is_thorough boolean not null default false,
  constraint doctor_checks_name_form check (name ~ '^[a-z_]{1,50}$'),
  constraint doctor_checks_severity_known check (severity in ('error', 'warning'))
);
comment on table private.doctor_checks is 'What coach doctor looks at in the database, by private.check_<name>(now).';
comment on column private.doctor_checks.severity is 'error: something is wrong, or money or sessions may be; warning: it will be, or somebody waits.';
comment on column private.doctor_checks.fix is 'The command that mends it, or shows what to mend; {subject} and {org} are the first found''s.';
comment on column private.doctor_checks.is_thorough is 'Reads whole tables: left out of a quick look.';

-- Imports: clients and packages from a file of another system.
-- Invariant: a person becomes one client, however often their row is sent, by whichever import: the organisation's row is the lock.
-- Not here: the file itself, which nobody keeps; activities of clients (70_training).

create table private.client_imports (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  is_dry_run boolean not null,
  date_order text not null default 'iso',
  created_at timestamptz not null default now(),
  primary key (org_id, id),
  constraint client_imports_date_order_known check (date_order in ('iso', 'dmy', 'mdy'))
);
comment on table private.client_imports is 'One reading of one file; what became of each row is in client_import_rows.';
comment on column private.client_imports.date_order is 'How the file writes 03/04/2026; years first (2026-04-03) are understood by all of them.';
create index client_imports_id_idx on private.client_imports (id);
create index client_imports_latest_idx on private.client_imports (org_id, created_at desc);
create index client_imports_age_idx on private.client_imports (created_at);

create table private.client_import_rows (
  org_id uuid not null,
  id uuid not null default gen_random_uuid(),
  import_id uuid not null,
  line integer not null,
  outcome text not null,
  slug text,
  column_name text,
  changed text[] not null default '{}',
  client_id uuid,
  package text,
  of_line integer,
  email_key text,
  phone_key text,
  name_key text,
  package_key text,
  primary key (org_id, id),
  foreign key (org_id, import_id) references private.client_imports (org_id, id) on delete cascade,
  foreign key (org_id, client_id) references public.clients (org_id, id) on delete set null (client_id),
  constraint client_import_rows_line_once unique (org_id, import_id, line),
  constraint client_import_rows_outcome_known check (outcome in ('created', 'updated', 'unchanged', 'refused')),
  constraint client_import_rows_refused_says_why check ((outcome = 'refused') = (slug is not null)),
  constraint client_import_rows_package_known check (package in ('created', 'unchanged'))
);
comment on table private.client_import_rows is 'What became of each row of a file: ids and names of columns, no values.';
comment on column private.client_import_rows.column_name is 'The column that a refusal is about.';
comment on column private.client_import_rows.changed is 'Columns of a known client that took another value.';
comment on column private.client_import_rows.of_line is 'The earlier row of the file that is about the same person.';
comment on column private.client_import_rows.email_key is 'With phone_key, name_key and package_key: hashes salted by the import, to know a person or package again within the file.';
create index client_import_rows_client_idx on private.client_import_rows (org_id, client_id) where client_id is not null;
create index client_import_rows_email_idx on private.client_import_rows (org_id, import_id, email_key) where email_key is not null;
create index client_import_rows_phone_idx on private.client_import_rows (org_id, import_id, phone_key) where phone_key is not null;

"""The rules of the house that the catalogue can tell: each is a query for what breaks it, and a change that would."""

from dataclasses import dataclass

# Tables that belong to no one organisation. What must be unique across organisations lives here, nowhere else.
DIRECTORY_TABLES = (
    "public.orgs",
    "public.roles",
    "public.role_permissions",
    "public.profiles",
    "public.platform_admins",
    "private.allow_list",
    "public.measurement_types",
    "private.job_runs",
    "private.rate_limits",
    "private.platform_audit_log",
    "private.audited_columns",
    "private.brakes",
    "private.admin_actions",
    "private.message_kinds",
    "private.phone_regions",
    "private.platform_settings",
    "private.unmatched_sms_events",
    "private.provider_limits",
    "private.inbound_sids",
    "private.stripe_events",
    "private.stripe_fetches",
    "private.stripe_cursors",
    "private.features",
    "public.plans",
    "private.plan_prices",
    "private.work_kinds",
    "private.doctor_checks",
)

# Directories that name the organisation they lead to: found by what is unique across organisations, so not sharded.
DIRECTORIES_OF_TENANTS = (
    "private.billing_customers",
    "private.brakes",
    "private.calendar_feed_tokens",
    "private.referral_codes",
    "private.stripe_events",
    "private.stripe_fetches",
    "public.push_tokens",
    "public.stripe_accounts",
)

# What a visitor who is not signed in may call: the pages of a link or a slug, with what stands behind them.
ANON_MAY_CALL = (
    "deposit_state",
    "capture_inquiry",
    "banner",
    "banners",
    "client_invite",
    "onboarding_form",
    "portal_book",
    "portal_cancel",
    "portal_checkout",
    "portal_dates",
    "portal_join_waitlist",
    "portal_leave_waitlist",
    "portal_overview",
    "portal_reschedule",
    "portal_slots",
    "public_book",
    "public_dates",
    "public_page",
    "public_slots",
    "show_receipt",
    "refer",
    "referral_page",
    "sign_waiver",
    "submit_onboarding",
    "waiver_form",
)

# What the secret key reaches in private: the same pages, and what the existing servers and functions ask.
SERVICE_MAY_CALL_IN_PRIVATE = (
    *ANON_MAY_CALL,
    "insert_sms_direct",
    "is_slot_free",
    "is_suppressed",
    "queue_pending_sms",
    "render",
)

_OURS = "'{public,private,service}'::regnamespace[]"
_API_ROLES = "'{anon,authenticated,service_role}'::text[]"
_ANY_TABLE_RIGHT = "'select, insert, update, delete, truncate, references, trigger'"
_LEDGERS = (
    "'{public.session_entries,public.audit_log,private.platform_audit_log,public.outbox_events,"
    "public.credit_entries,public.waiver_texts,public.money_events,public.receipts}'::text[]"
)
_TENANT_TABLES = """
  select c.oid, c.oid::regclass::text as name
    from pg_class as c
   where c.relkind in ('r', 'p') and c.relnamespace = any ('{public,private,service}'::regnamespace[])
     and exists (select from pg_attribute as a where a.attrelid = c.oid and a.attname = 'org_id' and not a.attisdropped)
"""


@dataclass(frozen=True)
class Rule:
    """`breaches` returns one text column, a row for each breach; `breaking` is SQL after which there must be one."""

    name: str
    breaches: str
    breaking: str


RULES = (
    Rule(
        "row level security is on for every table",
        f"""
        select c.oid::regclass::text from pg_class as c
         where c.relkind in ('r', 'p') and c.relnamespace = any ({_OURS}) and not c.relrowsecurity
        """,
        "alter table public.clients disable row level security",
    ),
    Rule(
        "no table in private grants anything to an API role, nor does the schema",
        f"""
        select c.oid::regclass || ' to ' || r.role
          from pg_class as c cross join unnest({_API_ROLES}) as r (role)
         where c.relkind in ('r', 'p', 'v', 'm', 'S') and c.relnamespace = 'private'::regnamespace
           and (case c.relkind when 'S' then has_sequence_privilege(r.role, c.oid, 'usage, select, update')
                     else has_table_privilege(r.role, c.oid, {_ANY_TABLE_RIGHT})
                          or has_any_column_privilege(r.role, c.oid, 'select, insert, update, references') end)
        union all
        select 'schema private to ' || r.role from unnest({_API_ROLES}) as r (role)
         where has_schema_privilege(r.role, 'private', 'usage, create')
        """,
        "grant select on private.job_runs to service_role",
    ),
    Rule(
        "only service_role may use the schema service, and none may create in ours",
        f"""
        select r.role || ' in ' || n.name
          from unnest({_API_ROLES}) as r (role) cross join unnest('{{public,private,service}}'::text[]) as n (name)
         where has_schema_privilege(r.role, n.name, 'create')
            or (n.name = 'service' and r.role <> 'service_role' and has_schema_privilege(r.role, n.name, 'usage'))
        """,
        "grant usage on schema service to authenticated",
    ),
    Rule(
        "booking_settings.timezone is the only column that holds a timezone",
        f"""
        select format('%s.%s', c.oid::regclass, a.attname)
          from pg_attribute as a join pg_class as c on c.oid = a.attrelid
         where c.relkind in ('r', 'p', 'v', 'm') and c.relnamespace = any ({_OURS})
           and a.attnum > 0 and not a.attisdropped and a.attname ~* '(time_?zone|^tz$|_tz$|utc_?offset)'
           and (c.oid::regclass::text, a.attname::text) <> ('booking_settings', 'timezone')
        """,
        "alter table public.clients add column time_zone text",
    ),
    Rule(
        "an instant is a timestamptz",
        f"""
        select format('%s.%s', c.oid::regclass, a.attname)
          from pg_attribute as a join pg_class as c on c.oid = a.attrelid
         where c.relkind in ('r', 'p') and c.relnamespace = any ({_OURS})
           and not a.attisdropped and a.atttypid = 'timestamp'::regtype
        """,
        "alter table public.clients add column seen_at timestamp",
    ),
    Rule(
        "a table belongs to an organisation, or is a named directory",
        f"""
        select c.oid::regclass::text from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
         where c.relkind in ('r', 'p') and n.oid = any ({_OURS})
           and (n.nspname || '.' || c.relname = any ('{{{",".join(DIRECTORY_TABLES)}}}'))
             = exists (select from pg_attribute as a
                        where a.attrelid = c.oid and a.attname = 'org_id' and a.attnotnull and not a.attisdropped)
        """,
        "create table public.notes (id uuid primary key)",
    ),
    Rule(
        "a tenant table's primary key is (org_id, id) or (org_id)",
        f"""
        select t.name from ({_TENANT_TABLES}) as t
         where t.name <> all ('{{{",".join(DIRECTORIES_OF_TENANTS)}}}') and not exists (
           select from pg_constraint as k
            where k.conrelid = t.oid and k.contype = 'p'
              and (select array_agg(a.attname::text order by u.nth)
                     from unnest(k.conkey) with ordinality as u (attnum, nth)
                     join pg_attribute as a on a.attrelid = k.conrelid and a.attnum = u.attnum)
                  in ('{{org_id,id}}', '{{org_id}}'))
        """,
        "create table public.notes (id uuid primary key, org_id uuid not null)",
    ),
    Rule(
        "every foreign key between tenant tables carries org_id",
        f"""
        with tenant as ({_TENANT_TABLES})
        select k.conrelid::regclass || ': ' || k.conname
          from pg_constraint as k join tenant as child on child.oid = k.conrelid
         where k.contype = 'f'
           and (k.confrelid in (select oid from tenant) or k.confrelid = 'public.orgs'::regclass)
           and not exists (
             select from unnest(k.conkey, k.confkey) as u (own, parent)
               join pg_attribute as o on o.attrelid = k.conrelid and o.attnum = u.own and o.attname = 'org_id'
               join pg_attribute as p on p.attrelid = k.confrelid and p.attnum = u.parent
                and p.attname = case when k.confrelid = 'public.orgs'::regclass then 'id' else 'org_id' end)
        """,
        """
        create unique index on public.clients (id);
        alter table public.clients add constraint clients_lone unique (id);
        alter table public.bookings add foreign key (client_id) references public.clients (id) on delete cascade
        """,
    ),
    Rule(
        "a tenant table's organisation exists: org_id reaches orgs, directly or through a parent",
        f"""
        with tenant as ({_TENANT_TABLES})
        select t.name from tenant as t
         where not exists (select from pg_constraint as k where k.conrelid = t.oid and k.contype = 'f'
                              and (k.confrelid = 'public.orgs'::regclass or k.confrelid in (select oid from tenant)))
        """,
        "create table public.notes (org_id uuid, id uuid, primary key (org_id, id))",
    ),
    Rule(
        "every foreign key says what a delete does",
        f"""
        select k.conrelid::regclass || ': ' || k.conname from pg_constraint as k
         where k.contype = 'f' and k.connamespace = any ({_OURS}) and k.confdeltype = 'a'
        """,
        "alter table public.profiles add column other uuid references public.orgs (id)",
    ),
    Rule(
        "a composite key that is set to null keeps org_id",
        f"""
        select k.conrelid::regclass || ': ' || k.conname from pg_constraint as k
         where k.contype = 'f' and k.connamespace = any ({_OURS}) and k.confdeltype in ('n', 'd')
           and cardinality(k.conkey) > 1 and k.confdelsetcols is null
        """,
        """
        alter table public.bookings add foreign key (org_id, client_id) references public.clients (org_id, id)
          on delete set null
        """,
    ),
    Rule(
        "every foreign key has an index",
        f"""
        select k.conrelid::regclass || ': ' || k.conname from pg_constraint as k
         where k.contype = 'f' and k.connamespace = any ({_OURS})
           and not exists (
             select from pg_index as i
              where i.indrelid = k.conrelid and i.indisvalid
                and (select array_agg(u.c order by u.c) from unnest(k.conkey) as u (c))
                  = (select array_agg(u.c order by u.c)
                       from unnest((i.indkey::smallint[])[0:cardinality(k.conkey) - 1]) as u (c))
                -- An index that leaves out only rows without the reference still finds every reference.
                and (i.indpred is null or exists (
                      select from pg_attribute as a
                       where a.attrelid = k.conrelid and a.attnum = any (k.conkey)
                         and pg_get_expr(i.indpred, i.indrelid) = format('(%I IS NOT NULL)', a.attname))))
        """,
        "drop index public.clients_auth_user_idx",
    ),
    Rule(
        "no API role inserts or updates an id",
        f"""
        select format('%s to %s', c.oid::regclass, r.role)
          from pg_class as c
          join pg_attribute as a on a.attrelid = c.oid and a.attname = 'id' and not a.attisdropped
         cross join unnest({_API_ROLES}) as r (role)
         where c.relkind in ('r', 'p', 'v') and c.relnamespace = any ({_OURS})
           and has_column_privilege(r.role, c.oid, a.attnum, 'insert, update')
        """,
        "grant insert on public.clients to authenticated",
    ),
    Rule(
        "a visitor who is not signed in reaches no table",
        f"""
        select c.oid::regclass::text from pg_class as c
         where c.relkind in ('r', 'p', 'v', 'm') and c.relnamespace = any ({_OURS})
           and (has_table_privilege('anon', c.oid, {_ANY_TABLE_RIGHT})
                or has_any_column_privilege('anon', c.oid, 'select, insert, update, references'))
        """,
        "grant select (id) on public.orgs to anon",
    ),
    Rule(
        "no API role may truncate, refer to or put triggers on a table",
        f"""
        select format('%s to %s', c.oid::regclass, r.role)
          from pg_class as c cross join unnest({_API_ROLES}) as r (role)
         where c.relkind in ('r', 'p') and c.relnamespace = any ({_OURS})
           and has_table_privilege(r.role, c.oid, 'truncate, references, trigger')
        """,
        "grant truncate on public.bookings to service_role",
    ),
    Rule(
        "a visitor who is not signed in calls nothing that is not listed",
        f"""
        select p.oid::regprocedure::text from pg_proc as p
         where p.pronamespace = any ({_OURS}) and has_function_privilege('anon', p.oid, 'execute')
           and p.proname <> all ('{{{",".join(ANON_MAY_CALL)}}}')
        """,
        "grant execute on function public.switch_org(uuid) to anon",
    ),
    Rule(
        "no function is executable by PUBLIC",
        f"""
        select p.oid::regprocedure::text from pg_proc as p
         cross join aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) as a
         where p.pronamespace = any ({_OURS}) and a.grantee = 0
        """,
        "create function public.open_door() returns int language sql set search_path = '' as 'select 1';"
        " grant execute on function public.open_door() to public",
    ),
    Rule(
        "a signed-in person calls nothing in service, the service nothing in private that is not listed",
        f"""
        select p.oid::regprocedure || ' by ' || r.role
          from pg_proc as p cross join unnest('{{authenticated,service_role}}'::text[]) as r (role)
         where p.pronamespace = (case r.role when 'authenticated' then 'service' else 'private' end)::regnamespace
           and has_function_privilege(r.role, p.oid, 'execute')
           and not (r.role = 'service_role' and p.proname = any ('{{{",".join(SERVICE_MAY_CALL_IN_PRIVATE)}}}'))
        """,
        "grant execute on all functions in schema service to authenticated",
    ),
    Rule(
        "a function that runs as its owner lives in private or service",
        "select p.oid::regprocedure::text from pg_proc as p"
        " where p.pronamespace = 'public'::regnamespace and p.prosecdef",
        "alter function public.switch_org(uuid) security definer",
    ),
    Rule(
        "every function has an empty search_path",
        f"""
        select p.oid::regprocedure::text from pg_proc as p
         where p.pronamespace = any ({_OURS}) and p.prokind in ('f', 'p')
           and not coalesce(p.proconfig @> '{{"search_path=\\"\\""}}', false)
        """,
        "alter function private.fail(integer, text, text, text) reset search_path",
    ),
    Rule(
        "a view shows what its reader may see",
        f"""
        select c.oid::regclass::text from pg_class as c
         where c.relkind = 'v' and c.relnamespace = any ({_OURS})
           and not coalesce(c.reloptions && '{{security_invoker=true,security_invoker=on}}', false)
        """,
        "create view public.everyone as select * from public.clients",
    ),
    Rule(
        "every table is commented",
        f"""
        select c.oid::regclass::text from pg_class as c
         where c.relkind in ('r', 'p', 'v', 'm') and c.relnamespace = any ({_OURS})
           and obj_description(c.oid, 'pg_class') is null
        """,
        "comment on table public.clients is null",
    ),
    Rule(
        "every function is commented, but for trigger functions, which their table explains",
        f"""
        select p.oid::regprocedure::text from pg_proc as p
         where p.pronamespace = any ({_OURS}) and p.prorettype <> 'trigger'::regtype
           and obj_description(p.oid, 'pg_proc') is null
        """,
        "comment on function public.switch_org(uuid) is null",
    ),
    Rule(
        "a function's name is its own: an overload would make the Data API answer 300",
        """
        select p.proname::text from pg_proc as p
         where p.pronamespace in ('public'::regnamespace, 'service'::regnamespace)
           -- A computed relationship is told apart by its table.
           and not exists (select from pg_class as c where c.reltype = p.proargtypes[0])
         group by p.pronamespace, p.proname having count(*) > 1
        """,
        "create function public.switch_org(p_slug text) returns int language sql as 'select 1'",
    ),
    Rule(
        "a parameter is called p_",
        f"""
        select p.oid::regprocedure || ': ' || a.name
          from pg_proc as p
         cross join unnest(p.proargnames, p.proargmodes) as a (name, mode)
         where p.pronamespace = any ({_OURS}) and coalesce(a.mode, 'i') in ('i', 'b', 'v')
           and a.name <> '' and a.name !~ '^p_'
        """,
        "create function service.x(org uuid) returns int language sql as 'select 1'",
    ),
    Rule(
        "a trigger function is called tg_",
        f"""
        select p.oid::regprocedure::text from pg_proc as p
         where p.pronamespace = any ({_OURS}) and (p.prorettype = 'trigger'::regtype) <> (p.proname ~ '^tg_')
        """,
        "alter function private.tg__append_only() rename to append_only",
    ),
    Rule(
        "a policy is called table_command_who, for one command and named roles",
        """
        select p.polrelid::regclass || ': ' || p.polname from pg_policy as p join pg_class as c on c.oid = p.polrelid
         where p.polcmd = '*' or p.polroles = '{0}'
            or p.polname !~ format('^%s_%s_[a-z_]+$', c.relname,
                                   case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update'
                                                 else 'delete' end)
        """,
        "create policy clients_all on public.clients for all to authenticated using (true)",
    ),
    Rule(
        "a constraint or index has a name that fits, so that an error names the rule",
        f"""
        select k.conrelid::regclass || ': ' || k.conname
          from pg_constraint as k join pg_class as c on c.oid = k.conrelid
         where k.connamespace = any ({_OURS}) and k.contype in ('c', 'u', 'x')
           and (not starts_with(k.conname, c.relname || '_') or k.conname ~ '_(check|key|excl)[0-9]*$')
        """,
        "alter table public.clients add check (phone <> 'x')",
    ),
    Rule(
        "a ledger is never changed: no such grant, and a trigger that refuses",
        f"""
        select t.name || ': no trigger' from unnest({_LEDGERS}) as t (name)
         where not exists (select from pg_trigger as g join pg_proc as p on p.oid = g.tgfoid
                            where g.tgrelid = t.name::regclass and p.proname = 'tg__append_only' and g.tgenabled = 'O'
                              and g.tgtype & 16 > 0)
        union all
        select t.name || ' to ' || r.role
          from unnest({_LEDGERS}) as t (name) cross join unnest({_API_ROLES}) as r (role)
         where has_table_privilege(r.role, t.name, 'insert, update, delete, truncate')
            or has_any_column_privilege(r.role, t.name, 'insert, update')
        """,
        "grant delete on public.session_entries to service_role",
    ),
)

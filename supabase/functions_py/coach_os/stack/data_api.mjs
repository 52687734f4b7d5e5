// The Data API and Auth of the embedded stack: @supabase/lite over PostgreSQL, on one port of 127.0.0.1.
//
// Lite is taken as a library and not by its command line, because three of its habits would make this database unlike
// a hosted one: it grants everything on each schema with row level security, it rewrites auth.uid() and its like, and
// it never notices a new migration. Here the platform has made `auth`, nothing is granted, and `notify pgrst` (which
// the platform sends after DDL, as hosted Supabase does) reloads the schema.
//
// Configuration arrives as JSON on the standard input: {databaseUrl, port, publishableKey, secretKey, jwtSecret,
// siteUrl, mailDir}. Log lines are JSON and name codes and objects, never values.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { register } from "node:module";
import { join } from "node:path";
import { serve } from "@hono/node-server";

// Lite takes any table with two foreign keys for a way between the tables they name, so two tables that each know a booking and
// its client would make `bookings(*, clients(…))` ambiguous. PostgREST asks that its primary key holds both keys.
const LENIENT = 'for(let S of Bn(w))u.push({type:"m2m",junctionTable:y,junctionToParentCols:g.map(';
const STRICT = LENIENT.replace(
  "u.push(",
  "if(t.primary_keys?.some(k=>k.table===y&&[...g,...S].every(c=>k.columns.includes(c.column))))u.push(",
);
const hook = `export async function load(url, context, next) {
  const loaded = await next(url, context);
  if (!url.endsWith("/@supabase/lite/dist/index.js")) return loaded;
  const source = loaded.source.toString();
  if (!source.includes(${JSON.stringify(LENIENT)})) throw new Error("lite looks for junctions in another way");
  return { ...loaded, source: source.replace(${JSON.stringify(LENIENT)}, () => ${JSON.stringify(STRICT)}) };
}`;
register(`data:text/javascript,${encodeURIComponent(hook)}`);
// After the hook, so not by a static import.
const { App } = await import("@supabase/lite");
const { PostgresConnection } = await import("@supabase/lite/postgres");

const config = JSON.parse(readFileSync(0, "utf8"));
const ROLE_SETTINGS = "select rolname, setconfig from pg_roles, pg_db_role_setting where setrole = oid and setdatabase = 0";

// Lite prints every failed statement with its row, and the mail it did not send: neither belongs in a log.
const log = (event, fields = {}) => process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`);
console.log = console.info = console.debug = console.warn = () => {};
console.error = (error) => {
  const { name, code, sqlstate = code, schema_name, table_name, constraint_name } = error ?? {};
  log("request_failed", { name, code: sqlstate, schema: schema_name, table: table_name, constraint: constraint_name });
};

class PlatformConnection extends PostgresConnection {
  timeouts = new Map();

  // Every request takes on its role, and nobody is granted anything.
  async ensureRlsContext() {
    return true;
  }

  // What PostgREST sets for a request, in one round trip; the timeout is the role's own, as there.
  async applyJwtSessionContext(transaction, { auth }) {
    const role = auth?.role || "anon";
    const claims = auth?.jwt ?? (auth?.uid ? { sub: auth.uid, role } : { role });
    const settings = { role, "request.jwt.claims": JSON.stringify(claims) };
    if (this.timeouts.has(role)) settings.statement_timeout = this.timeouts.get(role);
    await transaction
      .selectNoFrom((build) =>
        Object.entries(settings).map(([name, value], index) =>
          build.fn("set_config", [build.val(name), build.val(value), build.val(true)]).as(`setting_${index}`),
        ),
      )
      .execute();
  }

  // Lite answers 500 to many an error for which PostgREST has another status: say it in the way both understand.
  normalizeDbError(error) {
    const found = super.normalizeDbError(error);
    const status = typeof found?.code === "string" ? statusOf(found.code) : undefined;
    if (status === undefined) return found;
    const { code, message, detail = null, hint = null } = found;
    return Object.assign(new Error(JSON.stringify({ code, message, details: detail, hint })), {
      code: "PGRST",
      sqlstate: code,
      detail: JSON.stringify({ status, headers: {} }),
    });
  }

  async reload() {
    await this.clearSchemaCache();
    const rows = await this.driver.unsafe(ROLE_SETTINGS);
    this.timeouts = new Map();
    for (const { rolname, setconfig } of rows) {
      const timeout = setconfig.find((setting) => setting.startsWith("statement_timeout="));
      if (timeout) this.timeouts.set(rolname, timeout.split("=")[1]);
    }
    await this.introspect({ useCache: true });
  }
}

// PostgREST's table, for the codes that lite does not know.
function statusOf(code) {
  if (code === "23503" || code === "23505" || !/^[0-9A-Z]{5}$/.test(code)) return undefined;
  if (code === "P0001" || code.startsWith("23")) return 400;
  if (code.startsWith("08") || code.startsWith("53")) return 503;
  if (code.startsWith("28") || code.startsWith("0L") || code.startsWith("0P")) return 403;
  const server = ["09", "25", "2D", "38", "39", "3B", "40", "54", "55", "57", "58", "F0", "HV", "P0", "XX"];
  if (code !== "25006" && server.some((prefix) => code.startsWith(prefix))) return 500;
  return undefined;
}

// Lite hands an RPC's jsonb arguments over as JSON already; writing them once more would store a string.
function toJson(value) {
  if (typeof value !== "string") return JSON.stringify(value);
  try {
    JSON.parse(value);
    return value;
  } catch {
    return JSON.stringify(value);
  }
}

// Mail is kept for the developer to open, as a local mailbox would.
let letters = 0;
const mailbox = {
  async send(message) {
    mkdirSync(config.mailDir, { recursive: true, mode: 0o700 });
    const name = `${new Date().toISOString().replaceAll(":", "-")}-${++letters}.json`;
    writeFileSync(join(config.mailDir, name), JSON.stringify(message, null, 2), { mode: 0o600 });
    log("mail_kept", { file: name });
  },
};

const connection = new PlatformConnection({
  url: config.databaseUrl,
  postgresOptions: {
    max: 10,
    prepare: false,
    onnotice: () => {},
    connection: { application_name: "data_api" },
    types: { jsonb: { to: 3802, from: [3802], serialize: toJson, parse: JSON.parse } },
  },
});
const app = new App({
  connection,
  api: { schemas: ["public", "service"], extra_search_path: ["public", "extensions"], max_rows: 1000, pg_safe_update: true },
  auth: {
    enabled: true,
    jwt_secret: config.jwtSecret,
    publishable_key: config.publishableKey,
    secret_key: config.secretKey,
    site_url: config.siteUrl,
  },
  storage: { enabled: false },
  studio: { enabled: false },
  options: { drivers: { email: mailbox }, server: { admin: false } },
});
await app.init();
await connection.reload();

// A burst of DDL is one reload; a request that comes meanwhile waits for nothing and sees the schema before it.
let pending;
await connection.driver.listen("pgrst", () => {
  clearTimeout(pending);
  pending = setTimeout(reload, 20);
});

async function reload() {
  try {
    await connection.reload();
    log("schema_reloaded");
  } catch (error) {
    console.error(error);
  }
}

// Lite takes +61400000000 in a filter for a number and loses the plus; in quotes it stays the text that it is.
const PLUS_NUMBER = /(?<=\.|,|%2C|\(|%28)%2B\d+(?=[&,)]|%2C|%29|$)/gi;

function withQuotedPlus(request) {
  const [address, query = ""] = request.url.split("?", 2);
  const quoted = query.replace(PLUS_NUMBER, "%22$&%22");
  return quoted === query ? request : new Request(`${address}?${quoted}`, request);
}

// Lite forgets .single() on a write whose answer embeds another table: its one row comes in an array.
async function withSingleRow(request, response) {
  const asked = "application/vnd.pgrst.object+json";
  const given = response.headers.get("content-type") ?? "";
  const isAsked = (request.headers.get("accept") ?? "").includes(asked);
  if (!isAsked || request.method === "GET" || !response.ok || !given.startsWith("application/json")) return response;
  const rows = await response.json();
  const headers = new Headers(response.headers);
  headers.delete("content-length");
  headers.set("content-type", `${asked}; charset=utf-8`);
  return new Response(JSON.stringify(rows.length === 1 ? rows[0] : rows), { status: response.status, headers });
}

async function answer(request, { incoming }) {
  const { pathname } = new URL(request.url);
  if (pathname === "/health") {
    await connection.driver.unsafe("select 1");
    return Response.json({ status: "ok" });
  }
  if (pathname === "/reload" && request.headers.get("apikey") === config.secretKey) {
    await connection.reload();
    return new Response(null, { status: 204 });
  }
  if (!pathname.startsWith("/rest/v1") && !pathname.startsWith("/auth/v1")) {
    return Response.json({ message: "Not found" }, { status: 404 });
  }
  const peerAddress = incoming.socket.remoteAddress ?? null;
  return withSingleRow(request, await app.fetch(withQuotedPlus(request), { peerAddress }));
}

const server = serve({ fetch: answer, hostname: "127.0.0.1", port: config.port }, () => log("started", { port: config.port }));
server.on("error", (error) => {
  log("not_started", { code: error.code });
  process.exit(1);
});
for (const signal of ["SIGTERM", "SIGINT"]) {
  process.on(signal, async () => {
    server.close();
    await connection.driver.end({ timeout: 2 });
    process.exit(0);
  });
}

// The peer of row D: @supabase/stripe-sync-engine takes the same signed events in. One line of JSON on stdin begins a turn:
// {file, from, to, secret, connection, inFlight}; the answer is the events per second.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(import.meta.url);
const { StripeSync, runMigrations } = require("@supabase/stripe-sync-engine");

const [connectionString, secret, migrate] = process.argv.slice(2);
if (migrate) {
  await runMigrations({ databaseUrl: connectionString, schema: "stripe" });
  process.exit(0);
}
const sync = new StripeSync({
  poolConfig: { connectionString, max: 16 },
  stripeSecretKey: "sk_test_of_nobody",
  stripeWebhookSecret: secret,
  autoExpandLists: false,
  backfillRelatedEntities: false,
});
for await (const line of createInterface({ input: process.stdin })) {
  const { file, inFlight } = JSON.parse(line);
  const events = JSON.parse(readFileSync(file, "utf8"));
  let next = 0;
  const started = performance.now();
  await Promise.all(
    Array.from({ length: inFlight }, async () => {
      while (next < events.length) {
        const { body, signature } = events[next++];
        await sync.processWebhook(Buffer.from(body), signature);
      }
    }),
  );
  console.log(events.length / ((performance.now() - started) / 1000));
}
process.exit(0);

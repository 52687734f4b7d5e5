// Unpacks the Chromium that an npm package carries, and the libraries it needs, into $TMPDIR.

// It unpacks its libraries where it takes itself to be on this platform.
process.env.AWS_EXECUTION_ENV = "AWS_Lambda_nodejs22.x";
const { default: chromium } = await import("@sparticuz/chromium");
await chromium.executablePath();

// SPDX-License-Identifier: Apache-2.0
// Bundles src/ into dist/ beside this file: index.html, assets/app.js, assets/style.css, assets/favicon.svg.
import { build } from "esbuild";
import { copyFileSync, mkdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const src = join(here, "src");
const dist = join(here, "dist");
const assets = join(dist, "assets");

rmSync(dist, { recursive: true, force: true });
mkdirSync(assets, { recursive: true });
const common = { bundle: true, minify: true, charset: "ascii", legalComments: "none", logLevel: "warning" };
await build({
  ...common,
  entryPoints: [join(src, "main.ts")],
  outfile: join(assets, "app.js"),
  format: "esm",
  target: "es2020",
});
await build({ ...common, entryPoints: [join(src, "style.css")], outfile: join(assets, "style.css"), target: "chrome100" });
copyFileSync(join(src, "index.html"), join(dist, "index.html"));
copyFileSync(join(src, "favicon.svg"), join(assets, "favicon.svg"));

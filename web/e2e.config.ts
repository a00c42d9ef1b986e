// The browser tests in ../tests/browser, against a running kubemate; see their world.ts for what they need.
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  root: here(".."),
  cacheDir: here("node_modules/.vite-e2e"),
  // the tests live outside this package and have no node_modules of their own
  resolve: {
    alias: {
      "playwright-core": here("node_modules/playwright-core/index.mjs"),
      vitest: here("node_modules/vitest/dist/index.js"),
    },
  },
  test: {
    include: ["tests/browser/**/*.test.ts"],
    environment: "node",
    // they share one cluster
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 60_000,
  },
});

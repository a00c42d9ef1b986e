// How the console is built into web/dist, from where the server embeds it.
import vue from "@vitejs/plugin-vue";
import { defineConfig } from "vitest/config";
import { licenses } from "./licenses.ts";

// where `npm run dev` finds a running kubemate
const server = process.env.KUBEMATE_URL ?? "http://127.0.0.1:8080";

export default defineConfig({
  plugins: [vue(), licenses()],
  build: {
    target: "es2022",
    // inlined files would need `data:` in the content security policy
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: { port: 5173, proxy: { "/api": { target: server, changeOrigin: false } } },
  test: { environment: "jsdom", include: ["tests/**/*.test.ts"] },
});

// A Vite plugin: writes licenses.txt with the licence of every package whose code or files are in the build.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Plugin } from "vite";

/** The folder of the package a file belongs to. */
function packageOf(file: string): string | null {
  return /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? null;
}

function notice(folder: string): string {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Record<
    "name" | "version" | "license",
    string
  >;
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  const text = file ? readFileSync(join(folder, file), "utf8").trim() : "";
  return `${name} ${version} (${license})\n\n${text}`.trim();
}

export function licenses(): Plugin {
  return {
    name: "licenses",
    apply: "build",
    generateBundle(_, bundle) {
      const root = this.environment.config.root;
      const files = Object.values(bundle).flatMap((part) =>
        part.type === "chunk"
          ? part.moduleIds
          : part.originalFileNames.map((name) => join(root, name)),
      );
      const folders = new Set(files.map(packageOf).filter((folder) => folder !== null));
      const notices = [...folders].filter((folder) => existsSync(join(folder, "package.json"))).map(notice);
      const source = `${notices.sort().join(`\n\n${"-".repeat(80)}\n\n`)}\n`;
      this.emitFile({ type: "asset", fileName: "licenses.txt", source });
    },
  };
}

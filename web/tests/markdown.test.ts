// Answers quote what anybody may have written: nothing of it may run, load or lead away unseen.
import { describe, expect, it } from "vitest";
import { render } from "../src/lib/markdown";

describe("markdown", () => {
  it.each([
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<iframe src=https://evil.example.org></iframe>",
    "![pixel](https://evil.example.org/?secret)",
    "[click](javascript:alert(1))",
    "[click](data:text/html,hello)",
    "<a href='https://x.example.org' onclick='alert(1)'>x</a>",
    '<style>body{background:url("https://evil.example.org")}</style>',
    "[x](//evil.example.org)",
  ])("makes %s harmless", (text) => {
    const page = document.createElement("div");
    page.innerHTML = render(text);
    expect(page.querySelector("script, img, iframe, style, [onclick], [onerror]")).toBeNull();
    for (const link of page.querySelectorAll("a[href]")) {
      expect(link.getAttribute("href")).toMatch(/^(https?:|mailto:|\/(?!\/))/);
    }
  });

  it("keeps text, code, lists, tables and links", () => {
    const html = render("**a** `b`\n\n- c\n\n|x|\n|-|\n|y|\n\nhttps://example.org see [e1]");
    for (const part of ["<strong>a</strong>", "<code>b</code>", "<li>c</li>", "<td>y</td>", "<sup>e1</sup>"]) {
      expect(html).toContain(part);
    }
    expect(html).toContain('rel="noopener noreferrer nofollow"');
  });

  it("does not make links of file names", () => {
    expect(render("see nginx.conf and main.rs")).not.toContain("<a");
  });
});

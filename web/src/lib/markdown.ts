// Markdown to HTML that is safe to show: answers quote logs and labels, which anybody may have written.

import DOMPurify from "dompurify";
import MarkdownIt from "markdown-it";

const markdown = new MarkdownIt({ html: false, linkify: true, breaks: true });
// a link shown as plain text must be a whole address: `nginx.conf` is none
markdown.linkify.set({ fuzzyLink: false, fuzzyEmail: false });
// an image's address can carry away what was read
markdown.disable("image");

// `[e1]` cites a piece of evidence of the same message
const plain = markdown.renderer.rules.text;
markdown.renderer.rules.text = (...args) =>
  (plain?.(...args) ?? "").replace(/\[(e\d+)\]/g, "<sup>$1</sup>");

const purify = DOMPurify(window);
purify.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName === "A") {
    node.setAttribute("target", "_blank");
    node.setAttribute("rel", "noopener noreferrer nofollow");
  }
});

const ALLOWED = {
  ALLOWED_TAGS: [
    ...["p", "br", "hr", "strong", "em", "s", "code", "pre", "blockquote", "a", "sup", "ul", "ol", "li"],
    ...["h1", "h2", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"],
  ],
  ALLOWED_ATTR: ["href", "start"],
  ALLOWED_URI_REGEXP: /^(?:https?:|mailto:|\/(?!\/))/i,
};

/** HTML of the Markdown, without scripts, styles, images and foreign schemes. */
export function render(text: string): string {
  return purify.sanitize(markdown.render(text), ALLOWED);
}

import Markdown from "react-markdown";
import remarkGfm from "remark-gfm";

const PLUGINS = [remarkGfm];
const COMPONENTS = {
  // Links leave the editor in a window of their own, without a way back into it.
  a: ({ href, children }: { href?: string; children?: React.ReactNode }) => (
    <a href={href} target="_blank" rel="noreferrer noopener">
      {children}
    </a>
  ),
  // A picture of a note must not fetch anything from elsewhere.
  img: ({ alt, src }: { alt?: string; src?: string | Blob }) => (typeof src === "string" && isOwn(src) ? <img alt={alt ?? ""} src={src} /> : <em>[{alt || "picture"}]</em>),
};

function isOwn(src: string): boolean {
  return src.startsWith("data:image/") || (!/^[a-z][a-z0-9+.-]*:/i.test(src) && !src.startsWith("//"));
}

export default function MarkdownText({ text }: { text: string }) {
  return (
    <Markdown remarkPlugins={PLUGINS} components={COMPONENTS}>
      {text}
    </Markdown>
  );
}

import { Fragment } from "react";

/** Text of a node's docs: paragraphs, and `code` between backticks. */
export function DocText({ text, className }: { text: string; className?: string }) {
  return (
    <div className={className}>
      {text
        .split(/\n\s*\n/)
        .filter((paragraph) => paragraph.trim() !== "")
        .map((paragraph, index) => (
          <p key={index}>{inline(paragraph)}</p>
        ))}
    </div>
  );
}

function inline(paragraph: string) {
  return paragraph.split("`").map((part, index) => (index % 2 === 1 ? <code key={index}>{part}</code> : <Fragment key={index}>{part}</Fragment>));
}

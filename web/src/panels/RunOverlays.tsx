import { useEffect } from "react";
import { toast } from "@/app/ui";
import { onNotice } from "@/run/notices";
import { CompareView } from "./CompareSlider";
import { ReportView } from "./ErrorReport";
import type { OpenWorkflow } from "./jobWorkflow";
import { Lightbox } from "./Lightbox";

/** Full-screen view, comparison, error report, and what the server says: mounted once. */
export function RunOverlays({ onLoadWorkflow }: { onLoadWorkflow?: OpenWorkflow }) {
  useEffect(() => onNotice((text) => toast({ id: `notice ${text}`, kind: "warning", title: "The server says", text })), []);
  return (
    <>
      <Lightbox onLoadWorkflow={onLoadWorkflow} />
      <CompareView />
      <ReportView />
    </>
  );
}

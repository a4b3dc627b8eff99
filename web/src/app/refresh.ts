import { refreshDefinitions } from "@/workflows/definitions";
import { forgetEmbeddings } from "@/nodes/widgets/embeddings";
import { toast } from "./ui/toast";

/** Reads node definitions (and with them the lists of models) anew. */
export async function refreshFromServer(): Promise<void> {
  forgetEmbeddings();
  // The report on packs goes with them; whoever opens it is told if it cannot be had.
  void import("@/packs/start").then(({ refreshPacks }) => refreshPacks()).catch(() => undefined);
  const answered = await refreshDefinitions();
  if (answered) toast({ id: "refresh", kind: "success", title: "Node definitions and model lists are up to date" });
  else toast({ id: "refresh", kind: "danger", title: "The server does not answer", text: "Node definitions stay as they were." });
}

import { openFile } from "./opening";

const ACCEPTED = ".json,.txt,.png,.webp,.jpg,.jpeg,.avif,.heic,.svg,.mp4,.webm,.flac,.glb,.latent,.safetensors,application/json,image/*,video/*";

/** The browser's dialog for opening files; each opens in a tab of its own. */
export function chooseFiles(): void {
  const input = document.createElement("input");
  input.type = "file";
  input.multiple = true;
  input.accept = ACCEPTED;
  // Tests and browsers need it in the page while it is used.
  input.style.display = "none";
  input.dataset.openWorkflow = "";
  document.body.append(input);
  input.addEventListener("change", () => {
    void openAll([...(input.files ?? [])]);
    input.remove();
  });
  input.addEventListener("cancel", () => input.remove());
  input.click();
}

export async function openAll(files: readonly File[]): Promise<void> {
  for (const file of files) await openFile(file, file.name);
}

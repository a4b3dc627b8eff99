import { viewUrl, type FileRef } from "@/api/calls";

export function downloadFile(file: FileRef): void {
  const link = document.createElement("a");
  link.href = viewUrl(file);
  link.download = file.filename;
  link.click();
}

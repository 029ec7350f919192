export async function startReal(_at: { url: string; folder: string }): Promise<{ stop(): Promise<void> }> {
  throw new Error('later')
}

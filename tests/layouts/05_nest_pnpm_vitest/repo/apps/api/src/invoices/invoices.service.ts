import { sum } from '@platform/money';

export class InvoicesService {
  one(id: string) {
    return { id };
  }

  async create(lines: number[]) {
    return { total: sum(lines) };
  }
}

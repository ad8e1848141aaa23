import { Injectable } from '@nestjs/common';
import { PrismaClient } from '@prisma/client';
import { HttpService } from '@nestjs/axios';

@Injectable()
export class OrdersService {
  private readonly prisma = new PrismaClient();

  constructor(private readonly http: HttpService) {}

  async load(id: string): Promise<Order> {
    const order = await this.prisma.order.findUnique({ where: { id } });
    const stock = await this.http.get('https://stock.example.com/v1/items');
    return this.merge(order, stock);
  }

  async createAll(lines: Line[]) {
    for (const line of lines) {
      await this.prisma.line.create({ data: line });
    }
  }

  private merge(order: Order, stock: Stock): Order {
    return { ...order, stock };
  }
}

import { Body, Controller, Get, Param, Post } from '@nestjs/common';
import { OrdersService } from './orders.service';

@Controller('orders')
export class OrdersController {
  constructor(private readonly orders: OrdersService) {}

  @Get(':id')
  async findOne(@Param('id') id: string): Promise<Order> {
    return this.orders.load(id);
  }

  @Post()
  create(@Body() body: CreateOrder) {
    return this.orders.createAll(body.lines);
  }
}
